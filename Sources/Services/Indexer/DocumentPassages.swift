import Bytes
import Hashing
import Logic
import Records
import Store

/// The passages of documents, as their Gold lines list them.
struct DocumentPassages {
    /// For lines of transform versions 1 and 2, which list none however long their texts are.
    private var cutter = PassageCutter(PassageSettings())
    private var ranges: [PassageRange] = []

    /// The passages of a document without their vectors; none where something is deleted.
    mutating func of(_ document: GoldDocument) throws -> [IndexedPassage] {
        guard document.operation == .put else { return [] }
        guard document.passages.isEmpty else {
            return zip(document.passageTexts, document.passages).enumerated().map { number, passage in
                IndexedPassage(
                    number: Int32(clamping: number), text: passage.0, hash: passage.1.hash, embedding: nil)
            }
        }
        var text = document.text
        let passages = try text.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            cutter.cut(bytes, into: &ranges)
            return try ranges.enumerated().map { number, range in
                let part = UnsafeRawBufferPointer(rebasing: bytes[range.bytes])
                var hasher = try SHA256Hasher()
                var digest: [UInt8] = []
                try hasher.hash(part).appendHex(to: &digest)
                return IndexedPassage(
                    number: Int32(clamping: number), text: String(decoding: part, as: UTF8.self),
                    hash: String(decoding: digest, as: UTF8.self), embedding: nil)
            }
        }
        return passages.isEmpty ? [IndexedPassage(number: 0, text: document.text, embedding: nil)] : passages
    }
}
