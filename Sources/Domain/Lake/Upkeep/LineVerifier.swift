import Bytes
import Glibc
import Hashing
import JSONScan
import Records

/// The digests of an hour's raw values, by offset. Takes memory for its records alone, however wide the gaps between.
struct BronzeDigests {
    let range: OffsetRange
    /// Whether retention gave the Bronze up, or some of it: then a digest that is missing says nothing.
    var isExpired = false
    /// Whether some of it was rewritten; the same then.
    var isRewritten = false
    /// Lines of records that were erased.
    var erased = 0
    /// In order.
    private var offsets: [Int64] = []
    private var digests: [Digest256] = []

    init(range: OffsetRange) { self.range = range }

    subscript(offset: Int64) -> Digest256? {
        let index = place(of: offset)
        return index < offsets.count && offsets[index] == offset ? digests[index] : nil
    }

    /// Keeps a record's digest; the first one stays.
    mutating func note(_ digest: Digest256, at offset: Int64) {
        guard range.contains(offset) else { return }
        let index = place(of: offset)
        // Lines come in order but in a damaged file.
        guard index == offsets.count || offsets[index] != offset else { return }
        offsets.insert(offset, at: index)
        digests.insert(digest, at: index)
    }

    /// Where an offset is, or would be.
    private func place(of offset: Int64) -> Int {
        guard let last = offsets.last, offset <= last else { return offsets.count }
        var (low, high) = (0, offsets.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if offsets[middle] < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether it can be said what an offset's Bronze is, or that it is missing.
    func isKnown(_ offset: Int64) -> Bool { !(isExpired || isRewritten) || self[offset] != nil }

    /// The runs of committed offsets that have no digest.
    ///
    /// - Parameter committed: in order.
    func missing(committed: [OffsetRange]) -> [OffsetRange] {
        var runs: [OffsetRange] = []
        func add(_ start: Int64, _ end: Int64) {
            guard start < end else { return }
            if let last = runs.last, last.end == start {
                runs[runs.count - 1].end = end
            } else if let run = OffsetRange(start: start, end: end) {
                runs.append(run)
            }
        }
        for part in committed {
            var next = part.start
            var index = place(of: part.start)
            while index < offsets.count, offsets[index] < part.end {
                add(next, offsets[index])
                next = offsets[index] + 1
                index += 1
            }
            add(next, part.end)
        }
        return runs
    }
}

/// Checks single lines against the records that they come from.
struct LineVerifier: ~Copyable {
    private let reader: LakeReader
    private var hasher: SHA256Hasher
    /// What stands for a tombstone, which has no value to sum: no SHA-256 that is known.
    private static let tombstone = Digest256(words: (0, 0, 0, 0))
    /// What stands for a record that was erased: none either.
    static let erased = Digest256(words: (0, 0, 0, 1))
    private static let erasedName = Array(",\"erased\":\"".utf8)
    private static let valueName = Array(",\"value\":".utf8)
    private static let base64Name = Array(",\"value_base64\":\"".utf8)
    private static let parentsName = Array("\"parents\":[".utf8)
    private static let digestName = Array("\"bronze_sha256\":\"".utf8)
    private static let contentName = Array(",\"content_hash\":\"".utf8)
    private static let lineageEnd = Array("\"}]}}".utf8)

    init(reader: LakeReader) throws(HashingError) {
        let hasher = try SHA256Hasher()
        self.reader = reader
        self.hasher = hasher
    }

    /// - Parameter report: lent the offset and what is wrong.
    /// - Returns: the line's source offset; nil where it tells none.
    mutating func verify(
        _ line: UnsafeRawBufferPointer, layer: Layer, bronze: inout BronzeDigests, report: (Int64?, String) -> Void
    ) -> Int64? {
        guard let offset = LineScan.offset(of: Array(line)[...], layer: layer) else {
            report(nil, "tells no source offset")
            return nil
        }
        guard bronze.range.contains(offset) else {
            report(offset, "lies outside the hour's offsets \(bronze.range)")
            return offset
        }
        switch layer {
        case .bronze:
            if bronze[offset] != nil { report(offset, "is there twice") }
            guard let digest = valueDigest(line) else {
                report(offset, "has a payload that cannot be read")
                return offset
            }
            if digest == Self.erased { bronze.erased += 1 }
            bronze.note(digest, at: offset)
        case .silver, .gold:
            verifyLineage(line, offset, bronze, report)
            if layer == .gold { verifyContent(line, offset, report) }
        case .quarantine:
            guard let start = Self.find(Self.digestName, in: line) else {
                if bronze.isKnown(offset), bronze[offset] != Self.tombstone {
                    report(
                        offset,
                        bronze[offset] == Self.erased ? "its record was erased" : "names no SHA-256 of its record")
                }
                return offset
            }
            if bronze.isKnown(offset) { compare(line, digestAt: start, with: bronze[offset], offset, report) }
        }
        return offset
    }

    /// The SHA-256 of a Bronze line's raw value; nil where the payload cannot be read.
    mutating func valueDigest(_ line: UnsafeRawBufferPointer) -> Digest256? {
        if let start = Self.find(Self.valueName, in: line), line.last == UInt8(ascii: "}"), start < line.count {
            return try? hasher.hash(UnsafeRawBufferPointer(rebasing: line[start..<line.count - 1]))
        }
        guard let start = Self.find(Self.base64Name, in: line) else {
            return Self.find(Self.erasedName, in: line) == nil ? Self.tombstone : Self.erased
        }
        guard let value = Base64.bytes(Array(line[start..<max(start, line.count - 2)])) else { return nil }
        return value.withUnsafeBytes { try? hasher.hash($0) }
    }

    /// The first parent is the record itself; a redriven one names the records that it stands for behind it.
    private mutating func verifyLineage(
        _ line: UnsafeRawBufferPointer, _ offset: Int64, _ bronze: BronzeDigests, _ report: (Int64?, String) -> Void
    ) {
        guard let parents = Self.find(Self.parentsName, in: line, last: true),
            let start = Self.find(Self.digestName, in: UnsafeRawBufferPointer(rebasing: line[parents...])),
            line.count >= Self.lineageEnd.count,
            Self.matches(Self.lineageEnd, line, at: line.count - Self.lineageEnd.count)
        else {
            report(offset, "does not end with its lineage")
            return
        }
        if bronze.isKnown(offset) { compare(line, digestAt: parents + start, with: bronze[offset], offset, report) }
        // Behind the digest: a quote and the end of the parent, of the list, of the lineage and of the line.
        guard parents + start + 64 + Self.lineageEnd.count != line.count else { return }
        let list = Array("[".utf8) + Array(line[parents..<line.count - 2])
        guard let others = try? list.withUnsafeBytes({ try JSONValue.parse($0) }).array?.dropFirst() else {
            report(offset, "has parents that cannot be read")
            return
        }
        for other in others {
            guard let topic = other["topic"]?.string, let digest = other["bronze_sha256"]?.string,
                let partition = other["partition"]?.integer.flatMap({ Int32(exactly: $0) }),
                let parent = other["offset"]?.integer
            else {
                report(offset, "has a parent without topic, partition, offset or bronze_sha256")
                continue
            }
            let source = TopicPartition(topic: topic, partition: partition)
            // A tombstone has no value to sum, and its place in the lineage is empty.
            let found: String?
            switch otherDigest(source, parent) {
            case .expired: continue
            case .missing: found = nil
            case .found(let other): found = other == Self.tombstone ? "" : other.hex
            }
            if found != digest {
                report(offset, "its parent \(source) offset \(parent) is not in Bronze, or has another SHA-256")
            }
        }
    }

    private enum OtherRecord {
        case found(Digest256)
        case missing
        /// Retention gave it up, it was erased, or the file that held it was rewritten.
        case expired
    }

    /// A record outside the hour; rare, so one frame is read for it.
    private mutating func otherDigest(_ source: TopicPartition, _ offset: Int64) -> OtherRecord {
        do throws(LakeError) {
            let line = try reader.bronze(source, offset: offset).line
            let digest = line.withUnsafeBytes { valueDigest($0) }
            return digest.map { $0 == Self.erased ? .expired : .found($0) } ?? .missing
        } catch {
            if case .expired = error { return .expired }
            if let range = OffsetRange(start: offset, end: offset + 1),
                let isRewritten = try? reader.hasRewrittenBronze(source, in: range), isRewritten
            {
                return .expired
            }
            return .missing
        }
    }

    private func compare(
        _ line: UnsafeRawBufferPointer, digestAt start: Int, with digest: Digest256?, _ offset: Int64,
        _ report: (Int64?, String) -> Void
    ) {
        guard let digest else {
            report(offset, "its parent is not in Bronze")
            return
        }
        guard digest != Self.erased else {
            report(
                offset,
                "its record was erased, and it was not: `medallion erase resume` finishes what was interrupted")
            return
        }
        guard start + 64 <= line.count else {
            report(offset, "is cut off within its lineage")
            return
        }
        var expected: [UInt8] = []
        digest.appendHex(to: &expected)
        if !Self.matches(expected, line, at: start) { report(offset, "names another SHA-256 than its parent has") }
    }

    private mutating func verifyContent(
        _ line: UnsafeRawBufferPointer, _ offset: Int64, _ report: (Int64?, String) -> Void
    ) {
        guard let start = Self.find(Self.contentName, in: line, last: true), start + 64 < line.count else {
            report(offset, "names no content_hash")
            return
        }
        var content = Array(line[..<(start - Self.contentName.count)])
        content.append(UInt8(ascii: "}"))
        var expected: [UInt8] = []
        (content.withUnsafeBytes { try? hasher.hash($0) })?.appendHex(to: &expected)
        if !Self.matches(expected, line, at: start) || expected.isEmpty {
            report(offset, "its content does not match its content_hash")
        }
    }

    // MARK: - Bytes

    /// The place behind a name, which stands in no string: quotes are escaped there.
    private static func find(_ name: [UInt8], in line: UnsafeRawBufferPointer, last: Bool = false) -> Int? {
        let end = line.count - name.count
        var index = last ? end : 0
        while index >= 0 && index <= end {
            if line[index] == name[0], matches(name, line, at: index) { return index + name.count }
            index += last ? -1 : 1
        }
        return nil
    }

    private static func matches(_ bytes: [UInt8], _ line: UnsafeRawBufferPointer, at index: Int) -> Bool {
        guard let base = line.baseAddress, index >= 0, index + bytes.count <= line.count else { return false }
        return bytes.withUnsafeBytes { memcmp($0.baseAddress ?? base, base + index, bytes.count) == 0 }
    }
}
