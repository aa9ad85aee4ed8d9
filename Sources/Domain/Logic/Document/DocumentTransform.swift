import Bytes
package import Records

/// Makes Silver, Gold or quarantine lines of JSON documents; a pure function of record and settings.
package struct DocumentTransform {
    package let settings: DocumentSettings
    package let logicVersion: String
    private let destination: GoldLine.Destination
    private let fields: DocumentFields
    /// `"name":` of each attribute, with the comma before all but the first written.
    private let attributeNames: [[UInt8]]
    // Of the document at hand; they keep their storage.
    private var id: [UInt8] = []
    private var eventID: [UInt8] = []
    private var text: [UInt8] = []
    private var attributes: [UInt8] = []
    private var digest: [UInt8] = []
    private var cutter: PassageCutter
    private var passages: [PassageRange] = []
    /// Of the texts before; nil where none is left out for the text of another.
    private var window: NearDuplicateWindow?
    /// Nil where nobody asks for languages.
    private let languages: (any LanguageFinder)?

    /// What a logic says whose languages nobody finds.
    private struct NoLanguageFinder: Error, CustomStringConvertible {
        let description = "the logic asks for detects_language, and nothing is there that finds languages"
    }

    /// - Parameters:
    ///   - collection: the name under which Gold documents are found.
    ///   - tenant: whom they belong to.
    ///   - languages: asked where the settings want languages found.
    package init(
        settings: DocumentSettings, collection: String, tenant: TenantID = .standard,
        languages: (any LanguageFinder)? = nil, hasher: inout some ContentHasher & ~Copyable
    ) throws {
        if settings.stages.detectsLanguage, languages == nil { throw NoLanguageFinder() }
        self.settings = settings
        self.languages = settings.stages.detectsLanguage ? languages : nil
        window = settings.stages.nearDuplicates.map { NearDuplicateWindow($0) }
        destination = GoldLine.Destination(tenant: tenant, collection: collection)
        cutter = PassageCutter(settings.passages)
        logicVersion = try settings.logicVersion(hasher: &hasher)
        fields = DocumentFields(settings)
        attributeNames = settings.attributes.map { Array("\"\($0.name)\":".utf8) }
    }

    /// Applies the rules to one parsed record, which is no duplicate. See ``Logic/apply(_:fields:bronzeSHA256:embedsValue:hasher:output:goldLine:)``.
    package mutating func apply(
        _ record: borrowing SourceRecord, fields source: EventFields, bronzeSHA256: [UInt8], embedsValue: Bool,
        hasher: inout some ContentHasher & ~Copyable, output: inout DerivedLines,
        goldLine: (_ documentID: UnsafeBufferPointer<UInt8>, _ line: UnsafeRawBufferPointer) -> Void
    ) throws {
        let document: Document
        do throws(Rejection) {
            guard let found = try read(source, record) else {
                output.passedOverCount += 1
                return
            }
            document = found
        } catch {
            let given = record.eventID
            given.withUnsafeBufferPointer { given in
                output.reject(
                    record, error, eventID: given.isEmpty ? nil : given, bronzeSHA256: bronzeSHA256,
                    logicVersion: logicVersion, embedsValue: embedsValue)
            }
            return
        }
        // What is left out has no use for it.
        let finder = document.lang.isEmpty && document.operation == .put && !document.isLeftOut ? languages : nil
        let found = finder?.language(of: text).map { Array($0.utf8) } ?? []
        try found.withUnsafeBufferPointer { found in
            var document = document
            if !found.isEmpty {
                document.lang = found
                document.flags.insert(.languageDetected)
            }
            try write(
                document, record, bronzeSHA256: bronzeSHA256, hasher: &hasher, output: &output, goldLine: goldLine)
        }
    }

    private mutating func write(
        _ document: Document, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8],
        hasher: inout some ContentHasher & ~Copyable, output: inout DerivedLines,
        goldLine: (_ documentID: UnsafeBufferPointer<UInt8>, _ line: UnsafeRawBufferPointer) -> Void
    ) throws {
        appendSilver(document, record, bronzeSHA256: bronzeSHA256, to: &output.silver)
        output.silverCount += 1
        output.eventTimes.append(document.eventTimeMilliseconds)
        output.count(document.flags, offset: record.offset)
        let start = output.gold.count
        let kept = document.isLeftOut ? withoutContent(document) : document
        try appendGold(kept, record, bronzeSHA256: bronzeSHA256, hasher: &hasher, to: &output.gold)
        output.goldCount += 1
        id.withUnsafeBufferPointer { id in
            output.gold.withUnsafeBytes { buffer in
                goldLine(id, UnsafeRawBufferPointer(rebasing: buffer[start..<buffer.count - 1]))
            }
        }
    }

    /// Checks everything before a byte is written, and fills the buffers of the document at hand.
    ///
    /// - Returns: nil for a record that is about nothing.
    private mutating func read(
        _ whole: EventFields, _ record: borrowing SourceRecord
    ) throws(Rejection) -> Document? {
        id.removeAll(keepingCapacity: true)
        eventID.removeAll(keepingCapacity: true)
        text.removeAll(keepingCapacity: true)
        attributes.removeAll(keepingCapacity: true)
        var source = whole
        var told: GoldOperation?
        if let envelope = fields.envelope {
            guard let opened = try envelope.open(whole) else { return nil }
            (source, told) = (opened.fields, opened.operation)
        }
        for (place, passed) in zip(fields.passedOver, settings.stages.passesOver)
        where passed.matches(source.value(at: place.index)) { return nil }
        var document = try fields.read(source, told: told, record, id: &id)
        if record.eventID.isEmpty {
            eventID.append(contentsOf: id)
            eventID.append(UInt8(ascii: "@"))
            Decimal.append(document.version, to: &eventID)
        } else {
            eventID.append(contentsOf: record.eventID)
        }
        switch document.operation {
        case .put: break
        case .delete:
            window?.remove(id: id, version: document.version, offset: record.offset)
            return document
        case .deleteBelow:
            window?.removeAll(below: document.version, offset: record.offset)
            return document
        }
        try fields.appendTexts(source, to: &text)
        if cutPoint() != nil { document.flags.insert(.textCut) }
        try renderAttributes(source)
        passStages(&document, record)
        return document
    }

    /// The stages that may leave a document out which broke no rule.
    private mutating func passStages(_ document: inout Document, _ record: borrowing SourceRecord) {
        if settings.stages.isTooShort(text) {
            document.flags.insert(.textTooShort)
            window?.leaveOut(id: id, version: document.version, offset: record.offset)
        } else if window?.isDuplicate(
            id: id, version: document.version, text: text, offset: record.offset,
            brokerMilliseconds: record.brokerMilliseconds) == true
        {
            document.flags.insert(.nearDuplicate)
        }
    }

    /// What Gold says of a document that is left out: that its earlier versions are gone. Of its own version nothing is said: the
    /// same one may come again when what left it out is no more, and a deletion would win over it for good.
    private mutating func withoutContent(_ document: Document) -> Document {
        text.removeAll(keepingCapacity: true)
        attributes.removeAll(keepingCapacity: true)
        var gone = document
        gone.operation = .delete
        gone.version -= 1
        let nothing = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
        (gone.title, gone.url, gone.lang) = (nothing, nothing, nothing)
        return gone
    }

    // MARK: Window

    /// Whether texts of earlier documents decide.
    package var hasWindow: Bool { window != nil }

    /// Takes a record into the window and makes nothing of it.
    package mutating func observe(_ record: borrowing SourceRecord, fields source: EventFields) {
        guard hasWindow else { return }
        // What broke a rule is in no window.
        _ = try? read(source, record)
    }

    /// Empties the window.
    package mutating func forget() { window?.removeAll() }

    private mutating func renderAttributes(_ source: EventFields) throws(Rejection) {
        for (number, attribute) in settings.attributes.enumerated() {
            guard let value = try fields.value(of: attribute, at: fields.attributes[number], source) else { continue }
            if !attributes.isEmpty { attributes.append(UInt8(ascii: ",")) }
            attributes.append(contentsOf: attributeNames[number])
            switch value {
            case .string(let text): JSONText.appendQuoted(text, to: &attributes)
            case .integer(let number): Decimal.append(number, to: &attributes)
            case .number(let number): attributes.append(contentsOf: CanonicalNumber.text(number).utf8)
            case .bool(let flag): attributes.append(contentsOf: (flag ? "true" : "false").utf8)
            case .time(let time): attributes.append(contentsOf: "\"\(CivilTime.rfc3339(time))\"".utf8)
            }
        }
    }

    /// Room for the names, numbers and times of a line, that is for all but its texts.
    private static let frameBytes = 1_024

    private func room(_ document: Document, _ record: borrowing SourceRecord) -> Int {
        let texts =
            4 * id.count + 3 * eventID.count + 2 * record.topic.utf8.count + logicVersion.utf8.count
            + document.title.count + document.url.count + document.lang.count + text.count
            + (record.origin.map { $0.topic.utf8.count + $0.bronzeSHA256.utf8.count } ?? 0)
        return Self.frameBytes + attributes.count + JSONText.bytesPerByteMax * texts
    }

    private func appendSilver(
        _ document: Document, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8], to output: inout [UInt8]
    ) {
        output.appendLine(upTo: room(document, record) + bronzeSHA256.count) { writer in
            writer.string("{\"event_id\":", eventID)
            writer.time(",\"event_time\":", document.eventTimeMilliseconds)
            let isOfDocument = document.operation != .deleteBelow
            if isOfDocument { writer.string(",\"doc_id\":", id) }
            writer.integer(",\"version\":", document.version)
            writer.literal(document.operation.member)
            if isOfDocument {
                writer.string(",\"title\":", document.title)
                writer.string(",\"text\":", text)
                writer.string(",\"url\":", document.url)
                appendLanguage(document, to: &writer)
                appendAttributes(to: &writer)
            }
            appendFlags(document.flags, to: &writer)
            appendLineage(record, bronzeSHA256: bronzeSHA256, to: &writer)
        }
    }

    private mutating func appendGold(
        _ document: Document, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8],
        hasher: inout some ContentHasher & ~Copyable, to output: inout [UInt8]
    ) throws {
        // Out of self for the time of the call, so that the closure may read self; the storage is kept.
        var digest: [UInt8] = []
        swap(&digest, &self.digest)
        defer { swap(&digest, &self.digest) }
        guard document.operation != .deleteBelow else {
            let deletion = GoldLine.DeletionBelow(
                version: document.version, eventTimeMilliseconds: document.eventTimeMilliseconds,
                qualityFlags: document.flags.names)
            return try GoldLine.append(
                deletion, to: destination, digest: &digest, hasher: &hasher, output: &output,
                lineageRoom: room(document, record) + bronzeSHA256.count
            ) { writer in
                appendLineage(record, bronzeSHA256: bronzeSHA256, to: &writer)
            }
        }
        if let end = cutPoint() { text.removeLast(text.count - end) }
        text.withUnsafeBytes { cutter.cut($0, into: &passages) }
        let content = GoldLine.Content(
            docID: id, version: document.version, operation: document.operation, attributes: attributes, text: text,
            passages: passages,
            eventTimeMilliseconds: document.eventTimeMilliseconds, title: document.title, url: document.url,
            lang: document.lang, qualityFlags: document.flags.names)
        try GoldLine.append(
            content, to: destination, digest: &digest, hasher: &hasher, output: &output,
            lineageRoom: room(document, record) + bronzeSHA256.count
        ) { writer in
            appendLineage(record, bronzeSHA256: bronzeSHA256, to: &writer)
        }
    }

    private func appendLanguage(_ document: Document, to writer: inout LineWriter) {
        if document.lang.isEmpty {
            writer.literal(",\"lang\":\"und\"")
        } else {
            writer.string(",\"lang\":", document.lang)
        }
    }

    private func appendAttributes(to writer: inout LineWriter) {
        writer.literal(",\"attributes\":{")
        writer.bytes(attributes)
        writer.literal("}")
    }

    private func appendFlags(_ flags: QualityFlags, to writer: inout LineWriter) {
        writer.literal(",\"quality_flags\":[")
        var separator: StaticString = ""
        flags.forEach { rule in
            writer.string(separator, rule.rawValue)
            separator = ","
        }
        writer.literal("]")
    }

    /// Appends the last member and the line's end.
    private func appendLineage(
        _ record: borrowing SourceRecord, bronzeSHA256: [UInt8], to writer: inout LineWriter
    ) {
        writer.string(",\"lineage\":{\"logic_version\":", logicVersion)
        writer.string(",\"parents\":[{\"topic\":", record.topic)
        writer.integer(",\"partition\":", Int64(record.partition))
        writer.integer(",\"offset\":", record.offset)
        writer.string(",\"event_id\":", eventID)
        writer.string(",\"bronze_sha256\":", bronzeSHA256)
        if let origin = record.origin {
            writer.string("},{\"topic\":", origin.topic)
            writer.integer(",\"partition\":", Int64(origin.partition))
            writer.integer(",\"offset\":", origin.offset)
            writer.string(",\"event_id\":", eventID)
            writer.string(",\"bronze_sha256\":", origin.bronzeSHA256)
        }
        writer.literal("}]}}\n")
    }

    /// Where the text ends that has the allowed number of Unicode scalars; nil where all of it fits.
    private func cutPoint() -> Int? {
        guard text.count > settings.contentCharactersMax else { return nil }
        var scalars = 0
        for (index, byte) in text.enumerated() where byte & 0xC0 != 0x80 {
            if scalars == settings.contentCharactersMax { return index }
            scalars += 1
        }
        return nil
    }
}
