package import Bytes

/// Gold lines (`schemas/gold.schema.json`): one retrieval document each, written and read here and nowhere else.
package enum GoldLine {
    /// The line's members, in their order.
    package enum Field: Int, CaseIterable, Sendable {
        case docID, version, collection, attributes, type, namespace, user, isBot, text, eventTime, title, url, lang,
            wiki
        case qualityFlags, textHash, contentHash, lineage

        /// The member's name.
        package var name: StaticString {
            switch self {
            case .docID: "doc_id"
            case .version: "version"
            case .collection: "collection"
            case .attributes: "attributes"
            case .type: "type"
            case .namespace: "namespace"
            case .user: "user"
            case .isBot: "is_bot"
            case .text: "text"
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

    /// Appends the Gold line of a change with its line feed. What Silver has already escaped is copied from there.
    ///
    /// - Parameters:
    ///   - silver: the text that the change's Silver line was appended to.
    ///   - written: where in it that line stands.
    ///   - text: what is embedded and searched.
    ///   - lang: ISO 639 code.
    ///   - digest: storage for one.
    package static func append(
        _ change: SilverLine.RecentChange, silver: [UInt8], _ written: SilverLine.Written, collection: String,
        text: [UInt8], lang: [UInt8], digest: inout [UInt8], hasher: inout some ContentHasher & ~Copyable,
        to output: inout [UInt8]
    ) throws {
        digest.removeAll(keepingCapacity: true)
        try text.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        let room =
            SilverLine.frameBytes + silver.count - written.start + 2 * digest.count
            + JSONText.bytesPerByteMax * (collection.utf8.count + text.count)
        try silver.withUnsafeBytes { lines in
            let line = UnsafeRawBufferPointer(rebasing: lines[written.start...])
            try output.appendLine(upTo: room) { writer in
                func repeated(_ prefix: StaticString, _ member: Range<Int>) {
                    writer.bytes(prefix, UnsafeRawBufferPointer(rebasing: line[member]))
                }
                repeated("{\"doc_id\":", written.eventID)
                writer.string(",\"version\":1,\"collection\":", collection)
                writer.literal(",\"attributes\":{}")
                repeated(",\"type\":", written.type)
                writer.integerOrNull(",\"namespace\":", change.namespace)
                repeated(",\"user\":", written.user)
                writer.bool(",\"is_bot\":", change.isBot)
                writer.string(",\"text\":", text)
                repeated(",\"event_time\":", written.eventTime)
                repeated(",\"title\":", written.title)
                repeated(",\"url\":", written.pageURL)
                writer.string(",\"lang\":", lang)
                repeated(",\"wiki\":", written.wiki)
                repeated("", written.flags)
                writer.literal(",\"text_hash\":\"")
                writer.bytes(digest)
                // The content hash covers the line so far as an object of its own: all but itself and lineage.
                writer.literal("\"}")
                digest.removeAll(keepingCapacity: true)
                try hasher.appendHexDigest(of: writer.written, to: &digest)
                writer.removeLast()
                writer.literal(",\"content_hash\":\"")
                writer.bytes(digest)
                writer.literal("\"")
                repeated("", written.lineage)
            }
        }
    }

    /// - Parameter bytes: one line without its line feed.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) -> GoldDocument {
        try Fields(bytes).document()
    }

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
                    // Ours come in their order.
                    guard let place = Self.place(of: name, expected: next) else { return }
                    found[place] = value
                    next = place + 1
                }
            } catch {
                throw GoldLine.fault("line", "is not a JSON object: \(error.description)")
            }
            slices = found
        }

        private static let names = Field.allCases.map(\.name)

        private static func place(of name: JSONSlice, expected: Int) -> Int? {
            if expected < names.count, name.equals(names[expected]) { return expected }
            return names.firstIndex { name.equals($0) }
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

        /// A member that is a whole number or `null`.
        package func integerOrNil(_ field: Field) throws(RecordFormatError) -> Int64? {
            self[field].kind == .null ? nil : try integer(field)
        }

        /// A member that is `true` or `false`.
        package func flag(_ field: Field) throws(RecordFormatError) -> Bool {
            guard let value = self[field].bool else { throw fault(field, "is not true or false") }
            return value
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

        /// The attributes; none where the line has no such member.
        package func attributes() throws(RecordFormatError) -> [String: String] {
            let value = self[.attributes]
            if value.kind == .absent || value.kind == .null { return [:] }
            guard value.kind == .object else { throw fault(.attributes, "is not an object") }
            var attributes: [String: String] = [:]
            var odd: String?
            value.forEachMember { name, value in
                guard let name = name.string else { return }
                if let text = value.string { attributes[name] = text } else { odd = name }
            }
            if let odd { throw GoldLine.fault("attributes.\(odd)", "is not a string") }
            return attributes
        }

        /// Where the line comes from.
        package func lineage() throws(RecordFormatError) -> Lineage { try Lineage(self[.lineage], of: "Gold record") }

        /// The whole document.
        package func document() throws(RecordFormatError) -> GoldDocument {
            let time = try text(.eventTime)
            guard let milliseconds = CivilTime.epochMilliseconds(time) else {
                throw fault(.eventTime, "is not an RFC 3339 time")
            }
            return GoldDocument(
                docID: try text(.docID), version: try integer(.version), collection: try text(.collection),
                attributes: try attributes(), type: try text(.type), namespace: try integerOrNil(.namespace),
                user: try text(.user), isBot: try flag(.isBot), text: try text(.text),
                eventTimeMilliseconds: milliseconds, title: try text(.title), url: try text(.url),
                lang: try text(.lang), wiki: try text(.wiki), qualityFlags: try qualityFlags(),
                textHash: try text(.textHash), contentHash: try text(.contentHash), lineage: try lineage())
        }

        private func fault(_ field: Field, _ reason: String) -> RecordFormatError {
            GoldLine.fault("\(field.name)", reason)
        }
    }
}
