package import Bytes

/// Gold lines (`schemas/gold.schema.json`): one retrieval document each, or a deletion of all below a version, written
/// (``GoldLine/append(_:to:digest:hasher:output:)``) and read here and nowhere else.
package enum GoldLine {
    /// The line's members, in their order.
    package enum Field: Int, CaseIterable, Sendable {
        case docID, version, operation, tenant, collection, attributes
        // Attributes of recent changes that stand here up to transform version 2.
        case type, namespace, user, isBot
        case text, passages, eventTime, title, url, lang
        // One more of those.
        case wiki
        case qualityFlags, textHash, contentHash, lineage

        /// The member's name.
        package var name: StaticString {
            switch self {
            case .docID: "doc_id"
            case .version: "version"
            case .operation: "operation"
            case .tenant: "tenant"
            case .collection: "collection"
            case .attributes: "attributes"
            case .type: "type"
            case .namespace: "namespace"
            case .user: "user"
            case .isBot: "is_bot"
            case .text: "text"
            case .passages: "passages"
            case .eventTime: "event_time"
            case .title: "title"
            case .url: "url"
            case .lang: "lang"
            case .wiki: "wiki"
            case .qualityFlags: "quality_flags"
            case .textHash: "text_hash"
            case .contentHash: "content_hash"
            case .lineage: "lineage"
            }
        }
    }

    /// - Parameter bytes: one line without its line feed.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) -> GoldDocument {
        try Fields(bytes).document()
    }

    /// The content hash of a line, lent, where the line ends with it and the lineage, as all lines do that put a document; else nil.
    /// It is found from the end, for a fraction of what a walk takes.
    ///
    /// - Parameter line: without its line feed.
    package static func contentHash(of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        // Within a text a quote has a backslash before it, so that these bytes stand nowhere in one.
        let (name, digits) = (contentHashName, contentHashDigits)
        var start = line.count - name.count - digits - 1
        while start >= 0 {
            if line[start] == name[0], line[start...].starts(with: name) {
                let hash = line[(start + name.count)..<(start + name.count + digits)]
                return line[hash.endIndex] == UInt8(ascii: "\"") ? UnsafeRawBufferPointer(rebasing: hash) : nil
            }
            start -= 1
        }
        return nil
    }

    private static let contentHashName = Array(#","content_hash":""#.utf8)
    private static let contentHashDigits = 64

    /// The error of a record that cannot be used.
    static func fault(_ field: String, _ reason: String) -> RecordFormatError {
        RecordFormatError("Gold record", field: field, reason: reason)
    }

    // MARK: - Reading

    /// The members of one line, lent: valid as long as its bytes are. Members that nobody asks for cost a look at their
    /// bytes, and no more.
    package struct Fields {
        private var slices = [JSONSlice](repeating: .absent, count: Field.allCases.count)

        /// Walks a line, given without its line feed.
        ///
        /// - Throws: ``RecordFormatError`` where it is no JSON object. What its members hold is checked when they are read.
        package init(_ line: UnsafeRawBufferPointer) throws(RecordFormatError) {
            var found = slices
            var next = 0
            do throws(JSONLineError) {
                try JSONLine.forEachMember(of: line) { name, value in
                    // Ours come in their order, and most lines lack some.
                    guard let place = Self.place(of: name, from: next) else { return }
                    found[place] = value
                    next = place + 1
                }
            } catch {
                throw GoldLine.fault("line", "is not a JSON object: \(error.description)")
            }
            slices = found
        }

        private static let names = Field.allCases.map(\.name)

        private static func place(of name: JSONSlice, from expected: Int) -> Int? {
            for place in expected..<names.count where name.equals(names[place]) { return place }
            return names[..<expected].firstIndex { name.equals($0) }
        }

        /// The member as it stands in the line.
        package subscript(_ field: Field) -> JSONSlice { slices[field.rawValue] }

        /// A string member.
        ///
        /// - Throws: ``RecordFormatError`` where it is absent or of another kind; so do the others.
        package func text(_ field: Field) throws(RecordFormatError) -> String {
            guard let value = self[field].string else { throw fault(field, "is not a string") }
            return value
        }

        /// A member that is a whole number.
        package func integer(_ field: Field) throws(RecordFormatError) -> Int64 {
            guard let value = self[field].integer else { throw fault(field, "is not an integer") }
            return value
        }

        /// What the line does; lines that do not say put their document.
        package func operation() throws(RecordFormatError) -> GoldOperation {
            if self[.operation].kind == .absent { return .put }
            guard let operation = GoldOperation(rawValue: try text(.operation)) else {
                let known = GoldOperation.allCases.map(\.rawValue).joined(separator: ", ")
                throw fault(.operation, "is not one of \(known)")
            }
            return operation
        }

        /// The names of the rules that the document breaks.
        package func qualityFlags() throws(RecordFormatError) -> [String] {
            guard self[.qualityFlags].kind == .array else { throw fault(.qualityFlags, "is not an array") }
            var flags: [String] = []
            var isWhole = true
            self[.qualityFlags].forEachElement { element in
                if let flag = element.string { flags.append(flag) } else { isWhole = false }
            }
            guard isWhole else { throw fault(.qualityFlags, "holds a non-string") }
            return flags
        }

        /// The passages; none where the whole text is one.
        ///
        /// - Parameter text: the line's, in which they lie.
        package func passages(of text: String) throws(RecordFormatError) -> [GoldPassage] {
            if self[.passages].kind == .absent || self[.passages].kind == .null { return [] }
            let count = text.unicodeScalars.count
            guard self[.passages].kind == .array else { throw fault(.passages, "is not an array") }
            var passages: [GoldPassage] = []
            var isWhole = true
            self[.passages].forEachElement { element in
                guard isWhole, let passage = GoldPassage(element, within: count),
                    passages.last.map({ $0.scalars.lowerBound < passage.scalars.lowerBound }) ?? true
                else {
                    isWhole = false
                    return
                }
                passages.append(passage)
            }
            guard isWhole else { throw fault(.passages, "holds something else than ranges of the text, in order") }
            return passages
        }

        /// The attributes, wherever the line has them; none where it has none.
        package func attributes() throws(RecordFormatError) -> AttributeList {
            var attributes = try AttributeList(self[.attributes], of: "Gold record")
            // Up to transform version 2 those of recent changes have members of their own.
            for (field, name) in [(.wiki, .wiki), (.type, .type), (.user, .user)] as [(Field, AttributeName)]
            where self[field].kind != .absent {
                attributes.set(name, .string(try text(field)))
            }
            if self[.namespace].kind != .absent, self[.namespace].kind != .null {
                attributes.set(.namespace, .integer(try integer(.namespace)))
            }
            if self[.isBot].kind != .absent {
                guard let flag = self[.isBot].bool else { throw fault(.isBot, "is not true or false") }
                attributes.set(.isBot, .bool(flag))
            }
            return attributes
        }

        /// Where the line comes from.
        package func lineage() throws(RecordFormatError) -> Lineage { try Lineage(self[.lineage], of: "Gold record") }

        /// The whole document; see ``GoldDocument`` of a line that is about none.
        package func document() throws(RecordFormatError) -> GoldDocument {
            let time = try text(.eventTime)
            guard let milliseconds = CivilTime.epochMilliseconds(time) else {
                throw fault(.eventTime, "is not an RFC 3339 time")
            }
            guard let collection = CollectionName(try text(.collection)) else {
                throw fault(.collection, "is not a name: \(CollectionName.grammar)")
            }
            let operation = try operation()
            // Whatever else such a line says is about no document, and counts for nothing.
            guard operation != .deleteBelow else {
                return GoldDocument(
                    tenant: try tenant(), collection: collection, docID: "", version: try integer(.version),
                    operation: operation, text: "", eventTimeMilliseconds: milliseconds, title: "", url: "", lang: "",
                    qualityFlags: try qualityFlags(), textHash: "", contentHash: try text(.contentHash),
                    lineage: try lineage())
            }
            let words = try text(.text)
            return GoldDocument(
                tenant: try tenant(), collection: collection, docID: try text(.docID),
                version: try integer(.version), operation: operation, attributes: try attributes(), text: words,
                passages: try passages(of: words),
                eventTimeMilliseconds: milliseconds, title: try text(.title), url: try text(.url),
                lang: try text(.lang), qualityFlags: try qualityFlags(), textHash: try text(.textHash),
                contentHash: try text(.contentHash), lineage: try lineage())
        }

        private func tenant() throws(RecordFormatError) -> TenantID {
            if self[.tenant].kind == .absent { return .standard }
            guard let tenant = TenantID(try text(.tenant)) else {
                throw fault(.tenant, "is not a name: \(TenantID.grammar)")
            }
            return tenant
        }

        private func fault(_ field: Field, _ reason: String) -> RecordFormatError {
            GoldLine.fault("\(field.name)", reason)
        }
    }
}

extension AttributeList {
    /// All that a filter may ask of a Gold line's document: its own attributes, and what every document has. Nil where the
    /// line is no document's.
    ///
    /// Of a line that deletes all below a version only the collection is told: what it deletes has any language and time.
    package init?(goldLine line: borrowing GoldLine.Fields) {
        guard let collection = line[.collection].string else { return nil }
        if (try? line.operation()) == .deleteBelow {
            self.init([.collection: .string(collection)])
            return
        }
        guard let attributes = try? line.attributes() else { return nil }
        self = attributes
        set(.collection, .string(collection))
        // A deletion names a document by its key. Its `und` and its time are not the document's, and the document's are not there.
        guard (try? line.operation()) == .put else { return }
        set(.lang, .string(line[.lang].string ?? "und"))
        if let time = line[.eventTime].string.flatMap({ CivilTime.epochMilliseconds($0) }) {
            set(.eventTime, .time(time))
        }
    }
}

extension GoldPassage {
    /// Reads one element; nil where it is none, or lies outside of a text of `count` Unicode scalars.
    fileprivate init?(_ element: JSONSlice, within count: Int) {
        guard element.kind == .object else { return nil }
        var (start, end) = (Int64?.none, Int64?.none)
        var found: String?
        element.forEachMember { name, value in
            if name.equals("start") {
                start = value.integer
            } else if name.equals("end") {
                end = value.integer
            } else if name.equals("hash") {
                found = value.string
            }
        }
        guard let start, let end, let found, start >= 0, start < end, end <= Int64(count) else { return nil }
        self.init(scalars: Int(start)..<Int(end), hash: found)
    }
}
