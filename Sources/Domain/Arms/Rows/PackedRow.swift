import Records
import Retrieval

/// What hits show of a document as bytes: what all its passages share once, then their numbers and texts.
enum PackedRow {
    /// - Parameter passages: of one document and in their order, one at least.
    static func packed(_ passages: [Candidate]) -> [UInt8] {
        guard let document = passages.first else { return [] }
        var writer = PackedWriter()
        writer.text(document.collection)
        writer.text(document.language)
        writer.blob(document.lineageJSON)
        var attributes: [(AttributeName, AttributeValue)] = []
        document.attributes.forEach { attributes.append(($0, $1)) }
        writer.count(attributes.count)
        for (name, value) in attributes {
            writer.text(name.text)
            write(value, to: &writer)
        }
        writer.text(document.url)
        writer.text(document.title)
        writer.text(document.docID)
        writer.signed(document.version)
        writer.signed(document.eventTimeMilliseconds)
        writer.count(passages.count)
        for passage in passages {
            writer.signed(Int64(passage.passage))
            writer.text(passage.text)
        }
        return writer.bytes
    }

    /// One of the passages, by its place among them; without its number in the index.
    static func passage(_ place: Int, of bytes: [UInt8]) throws(PackedError) -> Candidate {
        var reader = PackedReader(bytes)
        let (collection, language) = (try reader.text(), try reader.text())
        let lineage = Array(try reader.blob())
        var attributes = AttributeList()
        for _ in 0..<(try reader.count()) {
            guard let name = AttributeName(try reader.text()) else { throw PackedError() }
            attributes.set(name, try value(from: &reader))
        }
        let (url, title, docID) = (try reader.text(), try reader.text(), try reader.text())
        let (version, time) = (try reader.signed(), try reader.signed())
        guard place < (try reader.count()) else { throw PackedError() }
        for _ in 0..<place {
            _ = try reader.signed()
            try reader.skipText()
        }
        guard let number = Int32(exactly: try reader.signed()) else { throw PackedError() }
        return Candidate(
            docID: docID, version: version, passage: number, collection: collection, title: title, url: url,
            text: try reader.text(), eventTimeMilliseconds: time, language: language, attributes: attributes,
            lineageJSON: lineage, vector: nil, lexical: nil)
    }

    private enum Kind {
        static let string: UInt8 = 0
        static let integer: UInt8 = 1
        static let number: UInt8 = 2
        static let no: UInt8 = 3
        static let yes: UInt8 = 4
        static let time: UInt8 = 5
    }

    static func write(_ value: AttributeValue, to writer: inout PackedWriter) {
        switch value {
        case .string(let text):
            writer.byte(Kind.string)
            writer.text(text)
        case .integer(let number):
            writer.byte(Kind.integer)
            writer.signed(number)
        case .number(let number):
            writer.byte(Kind.number)
            writer.number(number.bitPattern)
        case .bool(let flag): writer.byte(flag ? Kind.yes : Kind.no)
        case .time(let milliseconds):
            writer.byte(Kind.time)
            writer.signed(milliseconds)
        }
    }

    static func value(from reader: inout PackedReader) throws(PackedError) -> AttributeValue {
        switch try reader.byte() {
        case Kind.string: return .string(try reader.text())
        case Kind.integer: return .integer(try reader.signed())
        case Kind.number:
            let number = Double(bitPattern: try reader.number())
            guard number.isFinite else { throw PackedError() }
            return .number(number)
        case Kind.no: return .bool(false)
        case Kind.yes: return .bool(true)
        case Kind.time: return .time(try reader.signed())
        default: throw PackedError()
        }
    }
}
