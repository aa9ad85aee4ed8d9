import Bytes
import Hashing
import KafkaAccess

/// What makes a copy of a document known as one: it becomes the record's `event_id`, and within the logic's duplicate
/// window the stream job leaves out a record whose id it has seen.
///
/// With an `Idempotency-Key` it is the key and what the line says: a line that a client sends again is a copy wherever
/// in the body it stands, and another line under the same key is another event, which is never lost. Without a key, where
/// documents have versions, it is the hash of the line: the same version said twice says nothing new. Where they have none,
/// an old text may well be sent a second time on purpose, so only a signed request that is played again is known, by what
/// was signed.
enum DocumentIdentity {
    case key(String)
    case content
    case signature(String)
    case none

    init(key: String?, hasVersions: Bool, signature: String?) {
        if let key {
            self = .key(key)
        } else if hasVersions {
            self = .content
        } else if let signature {
            self = .signature(signature)
        } else {
            self = .none
        }
    }

    func batch(_ body: IntakeBody, arrivalMilliseconds: Int64) throws -> PublishedBatch {
        try batch(body.bytes, body.lines, arrivalMilliseconds: arrivalMilliseconds)
    }

    func batch(
        _ bytes: [UInt8], _ lines: [IntakeBody.Line], arrivalMilliseconds: Int64
    ) throws -> PublishedBatch {
        var hasher = try SHA256Hasher()
        var records: [PublishedBatch.Record] = []
        records.reserveCapacity(lines.count)
        // Of lines that stand in the body several times: how often so far.
        var copies: [Digest256: Int] = [:]
        for line in lines {
            var id: [UInt8] = []
            switch self {
            case .none: break
            case .key(let text):
                let digest = try Self.digest(bytes, line, by: &hasher)
                let copy = (copies[digest] ?? 0) + 1
                copies[digest] = copy
                id = Array("\(text):\(digest.hex.prefix(Self.hashDigits))".utf8)
                if copy > 1 { id += Array(":\(copy)".utf8) }
            case .signature(let text):
                id.reserveCapacity(text.utf8.count + 12)
                id.append(contentsOf: text.utf8)
                id.append(UInt8(ascii: ":"))
                // What is signed is signed with its order.
                Decimal.append(Int64(line.number), to: &id)
            case .content: try Self.digest(bytes, line, by: &hasher).appendHex(to: &id)
            }
            // Copies of a document without an id meet in one topic partition, too, where the duplicate window can know them.
            let key = line.key ?? (id.isEmpty ? nil : id)
            records.append(PublishedBatch.Record(range: line.range, key: key, eventID: id))
        }
        return PublishedBatch(bytes: bytes, records: records, arrivalMilliseconds: arrivalMilliseconds)
    }

    private static func digest(
        _ bytes: [UInt8], _ line: IntakeBody.Line, by hasher: inout SHA256Hasher
    ) throws -> Digest256 {
        try bytes.withUnsafeBytes { all throws(HashingError) in
            try hasher.hash(UnsafeRawBufferPointer(rebasing: all[line.range]))
        }
    }

    /// Of a line's hash behind a key: 128 bits, and the longest key still leaves an `event_id` within its 255 bytes.
    private static let hashDigits = 32
}
