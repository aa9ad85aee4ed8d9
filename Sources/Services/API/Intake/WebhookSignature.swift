import Bytes
import HTTPServer
import Hashing
import Sources

/// What says that a request comes from somebody who knows the source's secret, and came just now:
/// `Medallion-Signature: t=<seconds since 1970>,v1=<64 hexadecimal digits>`.
///
/// `v1` is the HMAC-SHA256 of the seconds, a dot, the `Idempotency-Key` (nothing where there is none), a dot, and the
/// body as it is sent. The key is covered, so that nobody who has seen a request can send it again as another one.
struct WebhookSignature: Sendable {
    static let header = "Medallion-Signature"
    /// How far a request's time may be from ours.
    static let secondsMax: Int64 = 300
    /// Signatures of one request, one for each secret while senders change to a new one.
    private static let signaturesMax = 4
    private static let secondsDigitsMax = 12

    let seconds: Int64
    /// 32 bytes each.
    let signatures: [[UInt8]]

    /// Nil where the field is not of that form.
    init?(_ field: String) {
        var (seconds, signatures): (Int64?, [[UInt8]]) = (nil, [])
        for part in field.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { return nil }
            let value = Array(pair[1])
            switch String(Substring(pair[0])).trimmingBlanks {
            case "t":
                guard seconds == nil, value.count <= Self.secondsDigitsMax,
                    let number = value.withUnsafeBytes({ DecimalText.integer($0) }), number >= 0
                else { return nil }
                seconds = number
            case "v1":
                guard signatures.count < Self.signaturesMax, let bytes = Self.bytes(value) else { return nil }
                signatures.append(bytes)
            // Other schemes may stand beside ours.
            default: continue
            }
        }
        guard let seconds, !signatures.isEmpty else { return nil }
        self.seconds = seconds
        self.signatures = signatures
    }

    private static func bytes(_ hex: [UInt8]) -> [UInt8]? {
        guard hex.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: 64, by: 2) {
            guard let high = digit(hex[place]), let low = digit(hex[place + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Whether it is of now.
    func isFresh(nowMilliseconds: Int64) -> Bool { abs(nowMilliseconds / 1_000 - seconds) <= Self.secondsMax }

    /// Whether one of the signatures was made with one of the secrets. How long that takes says nothing about either.
    ///
    /// - Returns: the hash of what was signed, the same whatever signatures stand in the request and whatever secrets there are; nil
    ///   where no signature is right.
    func verified(key: String, body: [UInt8], by secrets: [[UInt8]]) throws -> String? {
        let head = Array("\(seconds).\(key).".utf8)
        var isSigned = false
        for secret in secrets {
            let own = try MessageAuthentication.sha256([head, body], secret: secret)
            for signature in signatures where own.equalsInConstantTime(signature) { isSigned = true }
        }
        guard isSigned else { return nil }
        return try MessageAuthentication.hash(head + body).hex
    }
}

/// HMAC (RFC 2104) with SHA-256.
enum MessageAuthentication {
    private static let blockBytes = 64

    /// The code of the parts, one behind the other.
    static func sha256(_ parts: [[UInt8]], secret: [UInt8]) throws -> Digest256 {
        var block = secret
        if block.count > blockBytes { block = try hash(block).bytes }
        block += Array(repeating: 0, count: blockBytes - block.count)
        var inner = block.map { $0 ^ 0x36 }
        inner.reserveCapacity(blockBytes + parts.reduce(0) { $0 + $1.count })
        for part in parts { inner.append(contentsOf: part) }
        return try hash(block.map { $0 ^ 0x5C } + hash(inner).bytes)
    }

    fileprivate static func hash(_ bytes: [UInt8]) throws -> Digest256 {
        var hasher = try SHA256Hasher()
        return try bytes.withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
    }
}

extension Digest256 {
    fileprivate var bytes: [UInt8] { withBytes { Array($0) } }

    /// Looks at every byte, whatever the first ones are.
    fileprivate func equalsInConstantTime(_ other: [UInt8]) -> Bool {
        guard other.count == 32 else { return false }
        return withBytes { own in
            var difference: UInt8 = 0
            for place in 0..<32 { difference |= own[place] ^ other[place] }
            return difference == 0
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: Substring { Substring(self).trimmed }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}
