import Bytes
import Records

/// How long the texts of a document may be, in bytes of UTF-8. They lie below what the narrowest receiver takes, as
/// ``TextBounds`` says.
package enum DocumentBounds {
    /// Of an id.
    package static let idBytesMax = 255
    /// Of a title.
    package static let titleBytesMax = 1_024
    /// Of an address.
    package static let addressBytesMax = 4_096
    /// Of a language's code.
    package static let languageBytesMax = 35
    /// Of the text of one attribute.
    package static let attributeBytesMax = 1_024
    /// Milliseconds of the first and the last moment that an event time may name: the years 1 to 9999.
    package static let times: ClosedRange<Int64> = -62_135_596_800_000...253_402_300_799_999
}

/// A document that passed all rules; its texts are lent from the parser.
struct Document {
    var version: Int64 = 1
    var operation = GoldOperation.put
    var title = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    var url = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    var lang = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    var eventTimeMilliseconds: Int64 = 0
    var flags: QualityFlags = []

    /// Whether the index gets none of it.
    var isLeftOut: Bool { !flags.isDisjoint(with: .leavesOut) }
}

/// Where the fields that the logic looks at stand among the fields of a record.
///
/// The mapping names the places, so their number is known only with the settings.
package struct DocumentFields {
    /// A declared field by its number among the paths.
    struct Place {
        let index: Int
        let path: String
    }

    let id: Place
    let deleted: Place
    let truncated: Place?
    let version: Place?
    let title: Place?
    let url: Place?
    let lang: Place?
    let time: Place?
    let texts: [Place]
    /// In the order of the settings' attributes.
    let attributes: [Place]
    /// In the order of the settings' ``DocumentStages/passesOver``.
    let passedOver: [Place]
    /// What lies around places of a row, such as a column of JSON around its members; none without an envelope.
    let parents: [Place]
    /// Where they stand in a record; nil where the record is the object.
    let envelope: EnvelopeFields?

    init(_ settings: DocumentSettings) {
        var count = 0
        func place(_ path: FieldPath) -> Place {
            defer { count += 1 }
            return Place(index: count, path: path.text)
        }
        let mapping = settings.mapping
        id = place(mapping.id)
        deleted = place(mapping.deleted)
        truncated = mapping.truncated.map { place($0) }
        version = mapping.version.map { place($0) }
        title = mapping.title.map { place($0) }
        url = mapping.url.map { place($0) }
        lang = mapping.lang.map { place($0) }
        time = mapping.time.map { place($0) }
        texts = mapping.texts.map { place($0) }
        attributes = settings.attributes.map { place($0.path) }
        passedOver = settings.stages.passesOver.map { place($0.path) }
        var outer: [String] = []
        if settings.envelope != nil {
            let inner = [id, deleted, version, title, url, lang, time].compactMap { $0?.path } + texts.map(\.path)
            for path in inner + attributes.map(\.path) where !EnvelopeFields.isOfEnvelope(path) {
                let names = path.split(separator: ".", omittingEmptySubsequences: false)
                for length in 1..<max(names.count, 1) {
                    let parent = names.prefix(length).joined(separator: ".")
                    if !outer.contains(parent) { outer.append(parent) }
                }
            }
        }
        parents = outer.map { path in
            defer { count += 1 }
            return Place(index: count, path: path)
        }
        envelope = settings.envelope == nil ? nil : EnvelopeFields(columns: count)
    }

    /// All of them, in the order of their numbers.
    package static func paths(_ settings: DocumentSettings) -> [String] {
        let fields = DocumentFields(settings)
        let paths = fields.places.sorted { $0.index < $1.index }.map(\.path)
        return fields.envelope?.paths(of: paths) ?? paths
    }

    private var places: [Place] {
        [id, deleted, truncated, version, title, url, lang, time].compactMap { $0 } + texts + attributes
            + passedOver + parents
    }

    // MARK: Reading

    /// Checks a parsed object against the rules and gives it its types.
    ///
    /// - Parameters:
    ///   - told: what the envelope says of the document; nil where its own fields do.
    ///   - id: gets the document's id, also where a later rule is broken; nothing where the record is about none.
    func read(
        _ source: EventFields, told: GoldOperation?, _ record: borrowing SourceRecord, id output: inout [UInt8]
    ) throws(Rejection) -> Document {
        var document = Document()
        if let told {
            document.operation = told
            if told != .deleteBelow { try readID(source, to: &output) }
        } else if let truncated, try isTrue(source, truncated) {
            document.operation = .deleteBelow
        } else {
            try readID(source, to: &output)
            try checkAvailable(source)
            if try isTrue(source, deleted) { document.operation = .delete }
        }
        if document.operation == .deleteBelow, version == nil {
            throw Rejection(.missingField, "version: what empties a source needs declared versions")
        }
        document.version = try readVersion(source, record)
        document.eventTimeMilliseconds = try readTime(source) ?? record.brokerMilliseconds
        if let time, !source.value(at: time.index).isPresent { document.flags.insert(.eventTimeMissing) }
        // Of what is deleted only the key, the version and the time are left.
        guard document.operation == .put else { return document }
        document.title = try text(source, title, bytesMax: DocumentBounds.titleBytesMax)
        if title != nil, document.title.isEmpty { document.flags.insert(.emptyTitle) }
        document.url = try text(source, url, bytesMax: DocumentBounds.addressBytesMax)
        document.lang = try readLanguage(source)
        return document
    }

    /// A large value that an update did not touch is not sent by the database, unless the table's replica identity is FULL; then
    /// another text stands in its place, which must not be taken for the document's.
    private func checkAvailable(_ source: EventFields) throws(Rejection) {
        guard envelope != nil else { return }
        for place in places where EnvelopeFields.isPlaceholder(source.value(at: place.index)) {
            throw Rejection(.valueUnavailable, place.path)
        }
        // Nothing is found in it, and the document would be indexed without what it holds.
        for place in parents where source.value(at: place.index).kind == .string {
            throw Rejection(.wrongType, "\(place.path): a text, not an object")
        }
    }

    private func readTime(_ source: EventFields) throws(Rejection) -> Int64? {
        guard let time, source.value(at: time.index).isPresent else { return nil }
        let value = source.value(at: time.index)
        // The envelope's own times are milliseconds.
        if envelope != nil, value.kind == .integer, EnvelopeFields.isOfEnvelope(time.path) {
            guard DocumentBounds.times.contains(value.integer) else { throw Rejection(.invalidEventTime, time.path) }
            return value.integer
        }
        return try Self.time(value, time.path, .invalidEventTime)
    }

    private func readID(_ source: EventFields, to output: inout [UInt8]) throws(Rejection) {
        let value = source.value(at: id.index)
        switch value.kind {
        case .string:
            guard value.text.count <= DocumentBounds.idBytesMax else {
                throw Self.tooLong(id.path, value.text.count, DocumentBounds.idBytesMax)
            }
            guard !value.text.isEmpty, !value.text.contains(0) else { throw Rejection(.invalidID, id.path) }
            output.append(contentsOf: value.text)
        case .integer: Decimal.append(value.integer, to: &output)
        case .absent, .null: throw Rejection(.missingField, id.path)
        default: throw Rejection(.wrongType, id.path)
        }
    }

    private func isTrue(_ source: EventFields, _ place: Place) throws(Rejection) -> Bool {
        let value = source.value(at: place.index)
        switch value.kind {
        case .bool: return value.integer != 0
        case .absent, .null: return false
        default: throw Rejection(.wrongType, place.path)
        }
    }

    private func readVersion(
        _ source: EventFields, _ record: borrowing SourceRecord
    ) throws(Rejection) -> Int64 {
        guard let version else {
            // A redriven record takes the place of the one it stands for: what came after that one is newer.
            if let origin = record.origin, origin.partition == record.partition, origin.topic == record.topic,
                origin.offset < record.offset
            {
                return origin.offset + 1
            }
            return record.offset + 1
        }
        let value = source.value(at: version.index)
        switch value.kind {
        case .integer:
            guard value.integer >= 1 else { throw Rejection(.invalidVersion, version.path) }
            return value.integer
        case .string:
            let time = try Self.time(value, version.path, .invalidVersion)
            guard time >= 1 else { throw Rejection(.invalidVersion, version.path) }
            return time
        case .absent, .null: throw Rejection(.missingField, version.path)
        case .double: throw Rejection(.invalidVersion, version.path)
        default: throw Rejection(.wrongType, version.path)
        }
    }

    private func readLanguage(_ source: EventFields) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
        let code = try text(source, lang, bytesMax: DocumentBounds.languageBytesMax)
        guard let lang, !code.isEmpty else { return code }
        let isCode =
            code.count >= 2
            && code.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
        guard isCode else { throw Rejection(.wrongType, "\(lang.path): not a language's code") }
        return code
    }

    /// Appends the texts that are there, with a blank line between them.
    func appendTexts(_ source: EventFields, to output: inout [UInt8]) throws(Rejection) {
        for place in texts {
            let part = Self.trimmed(try text(source, place, bytesMax: .max))
            guard !part.isEmpty else { continue }
            if !output.isEmpty { output.append(contentsOf: [0x0A, 0x0A]) }
            output.append(contentsOf: part)
        }
        guard !output.isEmpty else {
            throw Rejection(.emptyText, texts.map(\.path).joined(separator: ", "))
        }
    }

    /// The attribute at `place`, checked; nil where the document has none.
    func value(
        of attribute: MappedAttribute, at place: Place, _ source: EventFields
    ) throws(Rejection) -> DocumentAttribute? {
        let value = source.value(at: place.index)
        guard value.isPresent else { return nil }
        switch (attribute.type, value.kind) {
        case (.string, .string):
            guard value.text.count <= DocumentBounds.attributeBytesMax else {
                throw Self.tooLong(place.path, value.text.count, DocumentBounds.attributeBytesMax)
            }
            guard !value.text.contains(0) else {
                throw Rejection(.invalidAttribute, "\(attribute.name): holds U+0000")
            }
            return .string(value.text)
        case (.integer, .integer): return .integer(value.integer)
        case (.number, .integer): return .number(Double(value.integer))
        case (.number, .double): return .number(value.number)
        case (.bool, .bool): return .bool(value.integer != 0)
        case (.time, .string):
            guard let time = CivilTime.epochMilliseconds(rfc3339: value.text), DocumentBounds.times.contains(time)
            else { throw Self.mismatch(attribute) }
            return .time(time)
        default: throw Self.mismatch(attribute)
        }
    }

    // MARK: Kinds of value

    private func text(
        _ source: EventFields, _ place: Place?, bytesMax: Int
    ) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
        guard let place else { return UnsafeBufferPointer(start: nil, count: 0) }
        let value = source.value(at: place.index)
        switch value.kind {
        case .string:
            guard value.text.count <= bytesMax else { throw Self.tooLong(place.path, value.text.count, bytesMax) }
            return value.text
        case .absent, .null: return UnsafeBufferPointer(start: nil, count: 0)
        default: throw Rejection(.wrongType, place.path)
        }
    }

    private static func time(_ value: FieldValue, _ path: String, _ rule: Rule) throws(Rejection) -> Int64 {
        guard value.kind == .string else { throw Rejection(.wrongType, path) }
        guard let time = CivilTime.epochMilliseconds(rfc3339: value.text), DocumentBounds.times.contains(time) else {
            throw Rejection(rule, path)
        }
        return time
    }

    private static func mismatch(_ attribute: MappedAttribute) -> Rejection {
        Rejection(.invalidAttribute, "\(attribute.name): not of type \(attribute.type.rawValue)")
    }

    private static func tooLong(_ path: String, _ count: Int, _ bytesMax: Int) -> Rejection {
        Rejection(.textTooLong, "\(path): \(count) bytes, at most \(bytesMax)")
    }

    /// Without ASCII white space at both ends.
    private static func trimmed(_ text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        var range = text.startIndex..<text.endIndex
        while let first = range.first, text[first] <= 0x20 { range = first + 1..<range.upperBound }
        while let last = range.last, text[last] <= 0x20 { range = range.lowerBound..<last }
        return UnsafeBufferPointer(rebasing: text[range])
    }
}

/// The value of an attribute, with its text lent from the parser.
enum DocumentAttribute {
    case string(UnsafeBufferPointer<UInt8>)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case time(Int64)
}

extension FieldValue {
    /// Whether there is anything but `null`.
    fileprivate var isPresent: Bool { kind != .absent && kind != .null }
}
