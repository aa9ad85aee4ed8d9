import Bytes
package import Records

/// A part of a document that is embedded and found on its own.
package struct IndexedPassage: Sendable, Equatable {
    /// From 0 within the document.
    package var number: Int32
    package var text: String
    /// SHA-256 of ``text``. Nil where it is the document's text hash.
    package var hash: String?
    /// SHA-256 in hex of what the model sees of the text: passages of one input and model share a vector. Empty where nothing is
    /// embedded.
    package var inputHash: String
    /// L2-normalised, as many numbers as the model gives. Nil: the index has the input's vector, or gets it in the same write;
    /// or none is wanted, where the document's model is empty.
    package var embedding: [Float]?

    package init(number: Int32, text: String, hash: String? = nil, inputHash: String = "", embedding: [Float]?) {
        self.number = number
        self.text = text
        self.hash = hash
        self.inputHash = inputHash
        self.embedding = embedding
    }
}

/// One document as a generation is to see it, or a deletion of all that its source has below a version.
package struct IndexedDocument: Sendable, Equatable {
    package var generation: Int64
    package var document: GoldDocument
    /// The topic partition of the Bronze record, not of the Gold topic.
    package var source: TopicPartition
    package var sourceOffset: Int64
    /// Name of the embedding model; empty where nothing is embedded.
    package var model: String
    /// Empty where the index has the content already, as ``IndexWriter/known(_:model:timeoutMilliseconds:)`` said.
    package var passages: [IndexedPassage]
    /// The words of each passage; nil where the writer is to cut them.
    package var terms: [PassageTerms]?
    /// The Gold line that it was read from, to be kept should Postgres refuse the document.
    package var line: [UInt8]

    package init(
        generation: Int64, document: GoldDocument, source: TopicPartition, sourceOffset: Int64, model: String,
        passages: [IndexedPassage], line: [UInt8] = []
    ) {
        self.generation = generation
        self.document = document
        self.source = source
        self.sourceOffset = sourceOffset
        self.model = model
        self.passages = passages
        self.line = line
    }

    /// What it says of its source's versions; nil where it is about one document.
    var floor: VersionFloor? {
        guard document.operation == .deleteBelow else { return nil }
        return VersionFloor(
            generation: generation, source: source, sourceOffset: sourceOffset, version: document.version)
    }
}

/// The lowest version of a source's documents that a generation shows: what it shows below goes, and what comes below later
/// changes nothing. How a source deletes all at once, such as by a truncate or by a new snapshot.
///
/// A floor never falls, and whether it comes before or behind the documents of its transaction makes no difference.
package struct VersionFloor: Sendable, Hashable {
    package var generation: Int64
    /// Where the record lies that it came from. The topic, which is that of the Bronze records, stands for the source: a floor counts
    /// for all of its partitions.
    package var source: TopicPartition
    package var sourceOffset: Int64
    /// Documents of this version and above stay.
    package var version: Int64

    package init(generation: Int64, source: TopicPartition, sourceOffset: Int64, version: Int64) {
        self.generation = generation
        self.source = source
        self.sourceOffset = sourceOffset
        self.version = version
    }
}

/// A step of one checkpoint, refused unless it stands where it is expected to.
package struct CheckpointMove: Sendable, Equatable {
    package var generation: Int64
    package var source: TopicPartition
    /// Where the checkpoint must stand now; nil where there must be none yet.
    package var expected: Int64?
    /// The next source offset that is wanted afterwards.
    package var next: Int64

    package init(generation: Int64, source: TopicPartition, expected: Int64?, next: Int64) {
        self.generation = generation
        self.source = source
        self.expected = expected
        self.next = next
    }
}

/// Next source offset of one generation and topic partition.
package struct IndexCheckpoint: Sendable, Equatable {
    package var generation: Int64
    package var source: TopicPartition
    package var nextOffset: Int64

    package init(generation: Int64, source: TopicPartition, nextOffset: Int64) {
        self.generation = generation
        self.source = source
        self.nextOffset = nextOffset
    }
}

/// What one index transaction did.
package struct IndexWriteResult: Sendable, Equatable {
    /// Number of the transaction; larger ones become visible later.
    package var indexVersion: Int64
    /// Passages that became visible by it; the others were there already, or newer ones were.
    package var passagesAdded: Int
    /// Documents that became invisible by floors.
    package var documentsHidden = 0
    /// Documents that Postgres refused, and that were kept aside by it.
    package var refused: [RefusedDocument] = []
}

/// Text as Postgres can hold it.
package enum IndexText {
    /// U+0000, which neither `text` nor `jsonb` can hold, becomes U+FFFD.
    package static func clean(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value == 0 ? "\u{FFFD}" : $0 }))
    }

    /// The lineage of a Gold line as it stands there, but for escapes that `jsonb` cannot hold.
    static func json(_ lineage: Lineage) -> [UInt8] {
        let json = lineage.json
        guard contains(nullEscape, json) else { return json }
        var output: [UInt8] = []
        output.reserveCapacity(json.count)
        var index = 0
        while index < json.count {
            // Two bytes at once, since a backslash may be escaped itself.
            guard json[index] == UInt8(ascii: "\\") else {
                output.append(json[index])
                index += 1
                continue
            }
            let isNull = json[index...].starts(with: nullEscape)
            output += isNull ? replacementEscape : Array(json[index..<min(index + 2, json.count)])
            index += isNull ? nullEscape.count : 2
        }
        return output
    }

    private static let nullEscape = Array("\\u0000".utf8)
    private static let replacementEscape = Array("\\ufffd".utf8)

    private static func contains(_ name: [UInt8], _ bytes: [UInt8]) -> Bool {
        guard bytes.count >= name.count else { return false }
        return (0...bytes.count - name.count).contains { bytes[$0] == name[0] && bytes[$0...].starts(with: name) }
    }

    /// Texts as one JSON array that `jsonb` can hold.
    static func json(_ texts: [String]) -> String {
        var writer = JSONWriter(capacity: 64)
        writer.beginArray()
        for text in texts { writer.string(clean(text)) }
        writer.endArray()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Attributes as `jsonb` can hold them.
    static func json(_ attributes: AttributeList) -> [UInt8] {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        attributes.forEach { name, value in
            writer.key(dynamic: name.text)
            if case .string(let text) = value { writer.string(clean(text)) } else { value.append(to: &writer) }
        }
        writer.endObject()
        return writer.bytes
    }
}
