import Glibc
import Lake
import Records

/// One chunk's Gold lines beside the parent's of the same offsets, both in their order.
struct ChunkComparison {
    private(set) var chunk: RangeReplay.Chunk
    private let source: TopicPartition
    private let lines: [RangeReplay.Line]
    /// The first line that the parent's lines have not reached.
    private var at = 0

    init(_ chunk: RangeReplay.Chunk, _ source: TopicPartition) {
        self.chunk = chunk
        self.source = source
        lines = chunk.gold
    }

    /// The offset behind the chunk.
    var end: Int64 { chunk.range.end }

    /// Takes in the parent's next line.
    mutating func meet(_ offset: Int64, _ line: ArraySlice<UInt8>) {
        addLines(below: offset)
        guard at < lines.count, lines[at].offset == offset else {
            chunk.difference.removed += 1
            return chunk.samples.note(source, offset, before: line, after: nil)
        }
        let new = lines[at].bytes
        at += 1
        switch Self.areAlike(line, new) {
        case .some(let hasContent):
            chunk.difference.unchanged += 1
            if hasContent { chunk.unchanged.insert(offset) }
        case nil:
            chunk.difference.changed += 1
            chunk.samples.note(source, offset, before: line, after: new)
        }
    }

    /// The chunk, of whose range the parent has no more lines.
    consuming func finished() -> RangeReplay.Chunk {
        addLines(below: .max)
        return chunk
    }

    private mutating func addLines(below offset: Int64) {
        while at < lines.count, lines[at].offset < offset {
            chunk.difference.added += 1
            chunk.samples.note(source, lines[at].offset, before: nil, after: lines[at].bytes)
            at += 1
        }
    }

    /// Whether two lines have the same content hash: nil where they do not, else whether they have one at all.
    private static func areAlike(_ one: ArraySlice<UInt8>, _ other: [UInt8]) -> Bool? {
        one.withUnsafeBytes { one in
            other.withUnsafeBytes { other in
                let (old, new) = (GoldLine.contentHash(of: one), GoldLine.contentHash(of: other))
                guard let old, let new else { return old == nil && new == nil ? .some(false) : nil }
                guard old.count == new.count, let first = old.baseAddress, let second = new.baseAddress else {
                    return nil
                }
                return memcmp(first, second, old.count) == 0 ? .some(true) : nil
            }
        }
    }
}
