import Bytes
package import Records

/// A place in a JSON object: names joined by dots, such as `price.amount`.
package struct FieldPath: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String
    /// In bytes.
    package static let bytesMax = 255
    /// Names one below the other.
    package static let depthMax = 8
    /// What the grammar says, for messages.
    package static let grammar = "names joined by dots, 8 at most, 255 bytes in all, none empty"

    /// - Returns: nil where the text is not of the grammar.
    package init?(_ text: String) {
        let names = text.split(separator: ".", omittingEmptySubsequences: false)
        guard !text.isEmpty, text.utf8.count <= Self.bytesMax, names.count <= Self.depthMax,
            names.allSatisfy({ !$0.isEmpty }), !text.utf8.contains(0)
        else { return nil }
        self.text = text
    }

    package var description: String { text }

    package static func < (left: FieldPath, right: FieldPath) -> Bool { left.text < right.text }
}

/// Where in a source's objects the fields of a document stand.
package struct DocumentMapping: Sendable, Equatable {
    /// Texts that are joined at most.
    package static let textsMax = 8

    /// What tells the document from the others of its collection; a text or a whole number.
    package var id: FieldPath
    /// A whole number from 1 on or an RFC 3339 time; nil where the record's offset is the version.
    package var version: FieldPath?
    package var title: FieldPath?
    /// What is searched: the texts at these places, those that are there, with a blank line between them.
    package var texts: [FieldPath]
    package var url: FieldPath?
    /// An ISO 639 code.
    package var lang: FieldPath?
    /// When the document was made or changed, as RFC 3339; nil where the broker's time is taken.
    package var time: FieldPath?
    /// `true` there says that the document is deleted.
    package var deleted: FieldPath
    /// `true` there says that every document of the source with a lower version is deleted, and that the record is about no
    /// document: the source was emptied, or begins anew. Goes with ``version``: offsets of several topic partitions cannot be
    /// compared.
    package var truncated: FieldPath?

    package init(
        id: FieldPath, version: FieldPath? = nil, title: FieldPath? = nil, texts: [FieldPath], url: FieldPath? = nil,
        lang: FieldPath? = nil, time: FieldPath? = nil, deleted: FieldPath, truncated: FieldPath? = nil
    ) {
        self.id = id
        self.version = version
        self.title = title
        self.texts = texts
        self.url = url
        self.lang = lang
        self.time = time
        self.deleted = deleted
        self.truncated = truncated
    }
}

/// An attribute of a document: its name, its type, and where its value stands.
package struct MappedAttribute: Sendable, Equatable {
    package let name: AttributeName
    package let type: AttributeType
    package let path: FieldPath

    package init(_ name: AttributeName, _ type: AttributeType, at path: FieldPath) {
        self.name = name
        self.type = type
        self.path = path
    }
}

/// All that decides what becomes of a document's record; its fingerprint is the logic version.
///
/// The mapping is a part of it, so the topic and Bronze hold objects as the source wrote them, and a replay may map them
/// in another way.
package struct DocumentSettings: Sendable, Equatable {
    /// The transform's code: a number per behaviour that a change of code gave it. Older ones stay selectable.
    package enum CodeVersion: Int64, CaseIterable, Sendable {
        case first = 1

        /// What new generations are made by.
        package static let current = CodeVersion.first
    }

    /// Attributes of one collection at most.
    package static let attributesMax = 64
    /// The member of ``canonicalJSON`` that tells this logic from others, and its value.
    package static let kind = "document"

    /// Of the transform.
    package var codeVersion: CodeVersion
    /// What the object lies in; nil where the record is the object.
    package var envelope: DocumentEnvelope?
    /// Where in a raw object the members of a document stand.
    package var mapping: DocumentMapping
    /// Sorted by name.
    package private(set) var attributes: [MappedAttribute]
    /// The longest text of a Gold document, in Unicode scalars.
    package var contentCharactersMax: Int
    /// How far apart two records with one event id may lie for the second to be left out.
    package var duplicates: DuplicateWindow.Limits
    /// How the text is cut.
    package var passages: PassageSettings
    /// What a document passes on its way to the index.
    package var stages: DocumentStages

    package init(
        codeVersion: CodeVersion = .current, envelope: DocumentEnvelope? = nil, mapping: DocumentMapping,
        attributes: [MappedAttribute] = [],
        contentCharactersMax: Int = 100_000, duplicates: DuplicateWindow.Limits = .init(),
        passages: PassageSettings = .init(), stages: DocumentStages = .init()
    ) {
        self.codeVersion = codeVersion
        self.envelope = envelope
        self.mapping = mapping
        self.attributes = attributes.sorted { $0.name < $1.name }
        self.contentCharactersMax = contentCharactersMax
        self.duplicates = duplicates
        self.passages = passages
        self.stages = stages
    }

    /// The settings as JSON with fixed order: what is stored with a generation and what the fingerprint covers.
    package var canonicalJSON: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("logic", Self.kind)
        json.integer("code_version", codeVersion.rawValue)
        json.integer("content_characters_max", contentCharactersMax)
        json.integer("duplicates_milliseconds", duplicates.milliseconds)
        json.integer("duplicates_offsets", duplicates.offsets)
        // Only where there is one, so that logic from before it keeps its fingerprint.
        if let envelope { json.string("envelope", envelope.rawValue) }
        json.integer("passage_overlap", passages.overlap)
        json.integer("passage_weight_max", passages.weightMax)
        stages.write(to: &json)
        json.key("fields")
        append(mapping, to: &json)
        json.key("attributes")
        json.beginObject()
        for attribute in attributes {
            json.key(dynamic: attribute.name.text)
            json.beginObject()
            json.string("type", attribute.type.rawValue)
            json.string("path", attribute.path.text)
            json.endObject()
        }
        json.endObject()
        json.endObject()
        return json.bytes
    }

    private func append(_ mapping: DocumentMapping, to json: inout JSONWriter) {
        json.beginObject()
        json.string("id", mapping.id.text)
        if let path = mapping.version { json.string("version", path.text) }
        if let path = mapping.title { json.string("title", path.text) }
        json.key("text")
        json.beginArray()
        for path in mapping.texts { json.string(path.text) }
        json.endArray()
        if let path = mapping.url { json.string("url", path.text) }
        if let path = mapping.lang { json.string("lang", path.text) }
        if let path = mapping.time { json.string("time", path.text) }
        json.string("deleted", mapping.deleted.text)
        if let path = mapping.truncated { json.string("truncated", path.text) }
        json.endObject()
    }

    /// `v<code version>-<first 12 digits of the SHA-256 of canonicalJSON>`.
    package func logicVersion(hasher: inout some ContentHasher & ~Copyable) throws -> String {
        try LogicVersion.text(prefix: "v\(codeVersion.rawValue)", canonicalJSON, hasher: &hasher)
    }
}
