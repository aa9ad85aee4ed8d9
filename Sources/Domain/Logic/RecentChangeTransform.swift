import Bytes
package import Records

/// The lines that one logic made of some records.
package struct DerivedLines: Sendable {
    package var silver: [UInt8] = []
    package var gold: [UInt8] = []
    package var quarantine: [UInt8] = []
    package var silverCount = 0
    package var goldCount = 0
    package var quarantineCount = 0
    private var rejected: [Rule: RuleCount] = [:]
    /// By the combination of flags, so that counting takes no look-up.
    private var flagged = [RuleCount](repeating: RuleCount(), count: QualityFlags.combinations)
    /// Event times of the Silver lines in their order, in milliseconds since 1970.
    package var eventTimes: [Int64] = []

    /// Records in quarantine by the rule they broke.
    package var rejects: [Rule: Int] { rejected.mapValues(\.count) }

    /// Records by the rule they broke, be it for quarantine or as a flag.
    package var rules: [Rule: RuleCount] {
        var rules = rejected
        for (number, count) in flagged.enumerated() where count.count > 0 {
            QualityFlags(rawValue: UInt8(number)).forEach { rules[$0, default: RuleCount()].add(count) }
        }
        return rules
    }

    package init() {}

    mutating func count(_ flags: QualityFlags, offset: Int64) {
        if !flags.isEmpty { flagged[Int(flags.rawValue)].add(offset: offset) }
    }

    mutating func count(_ rejection: Rejection, offset: Int64) {
        rejected[rejection.rule, default: RuleCount()].add(offset: offset)
    }

    /// Forgets the lines and keeps the storage.
    package mutating func removeAll() {
        silver.removeAll(keepingCapacity: true)
        gold.removeAll(keepingCapacity: true)
        quarantine.removeAll(keepingCapacity: true)
        (silverCount, goldCount, quarantineCount) = (0, 0, 0)
        rejected.removeAll(keepingCapacity: true)
        for number in flagged.indices { flagged[number] = RuleCount() }
        eventTimes.removeAll(keepingCapacity: true)
    }
}

/// Makes Silver, Gold or quarantine lines of Wikimedia recent changes; a pure function of record and settings.
package struct RecentChangeTransform {
    package let settings: TransformSettings
    package let logicVersion: String
    private let wikis: [[UInt8]]
    private let types: [[UInt8]]
    private let collection: String
    private var text: [UInt8] = []
    /// The cleaned comment of the change at hand, where it differs from the comment.
    private var commentText: [UInt8] = []
    private var isCommentPlain = true
    private var digest: [UInt8] = []
    private var languages = WikiLanguageCache()

    /// - Parameter collection: the name under which Gold documents are found, such as the topic's.
    package init(
        settings: TransformSettings, collection: String, hasher: inout some ContentHasher & ~Copyable
    ) throws {
        self.settings = settings
        self.collection = collection
        logicVersion = try settings.logicVersion(hasher: &hasher)
        wikis = settings.wikis.map { Array($0.utf8) }
        types = settings.types.map { Array($0.utf8) }
    }

    /// Applies rules and filters to one parsed record, which is neither a canary nor a duplicate.
    ///
    /// - Parameters:
    ///   - bronzeSHA256: hexadecimal digest of the raw value.
    ///   - embedsValue: whether the value may stand verbatim in a line.
    ///   - goldLine: lent the Gold line without its line feed, and the document's id, if one was made.
    package mutating func apply(
        _ record: borrowing SourceRecord, fields: EventFields, bronzeSHA256: [UInt8], embedsValue: Bool,
        hasher: inout some ContentHasher & ~Copyable, output: inout DerivedLines,
        goldLine: (_ documentID: UnsafeBufferPointer<UInt8>, _ line: UnsafeRawBufferPointer) -> Void
    ) throws {
        let change: RecentChange
        do throws(Rejection) {
            change = try RecentChangeReader.read(
                fields, brokerMilliseconds: record.brokerMilliseconds, boundsTexts: settings.codeVersion.boundsTexts)
        } catch {
            let id = fields.value(at: RecentChangeField.id.rawValue)
            reject(
                record, error, eventID: id.kind == .string ? id.text : nil, bronzeSHA256: bronzeSHA256,
                embedsValue: embedsValue, output: &output)
            return
        }
        cleanComment(change)
        let silver = appendSilver(change, record, bronzeSHA256: bronzeSHA256, to: &output.silver)
        output.silverCount += 1
        output.eventTimes.append(change.eventTimeMilliseconds)
        output.count(change.flags, offset: record.offset)
        guard becomesGold(change) else { return }
        let start = output.gold.count
        try output.silver.withUnsafeBytes { lines in
            try appendGold(
                change, silver: UnsafeRawBufferPointer(rebasing: lines[silver.start...]), silver.members,
                hasher: &hasher, to: &output.gold)
        }
        output.goldCount += 1
        output.gold.withUnsafeBytes { buffer in
            goldLine(change.eventID, UnsafeRawBufferPointer(rebasing: buffer[start..<buffer.count - 1]))
        }
    }

    /// Puts a record that broke a rule into quarantine.
    package func reject(
        _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
        bronzeSHA256: [UInt8]?, embedsValue: Bool, output: inout DerivedLines
    ) {
        RawLines.appendQuarantine(
            record, rule: rejection.rule.rawValue, reason: rejection.rule.reason, detail: rejection.detail,
            eventID: eventID,
            bronzeSHA256: bronzeSHA256, logicVersion: logicVersion,
            embedsValue: embedsValue, to: &output.quarantine)
        output.quarantineCount += 1
        output.count(rejection, offset: record.offset)
    }

    private func becomesGold(_ change: RecentChange) -> Bool {
        if settings.dropsBots && change.isBot { return false }
        guard types.contains(where: { $0.elementsEqual(change.type) }) else { return false }
        if !wikis.isEmpty && !wikis.contains(where: { $0.elementsEqual(change.wiki) }) { return false }
        if !settings.namespaces.isEmpty {
            guard let namespace = change.namespace, settings.namespaces.contains(namespace) else { return false }
        }
        return true
    }

    /// Where the members that Gold repeats stand in a Silver line, each with its quotes.
    private struct SharedMembers {
        var (eventID, eventTime, wiki, type) = (0..<0, 0..<0, 0..<0, 0..<0)
        var (title, pageURL, user) = (0..<0, 0..<0, 0..<0)
        /// `quality_flags` with its name and the comma before it.
        var flags = 0..<0
        /// `lineage` with its name, the comma before it, and the line's end.
        var lineage = 0..<0
    }

    /// Room for the names, numbers and times of a Silver or Gold line, that is for all but its texts.
    private static let frameBytes = 1_024

    /// Room for the texts that both lines may hold, in Silver's case some of them two or three times.
    private func room(_ change: RecentChange, _ record: borrowing SourceRecord) -> Int {
        let texts =
            3 * (change.eventID.count + record.topic.utf8.count + collection.utf8.count + logicVersion.utf8.count)
            + change.wiki.count + change.domain.count + change.type.count + change.title.count
            + change.pageURL.count + change.user.count + 2 * change.comment.count + CommentText.growthMax
            + (record.origin.map { $0.topic.utf8.count + $0.bronzeSHA256.utf8.count } ?? 0)
        return Self.frameBytes + JSONText.bytesPerByteMax * texts
    }

    /// - Returns: where the line begins, and where in it stands what Gold repeats.
    private func appendSilver(
        _ change: RecentChange, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8], to output: inout [UInt8]
    ) -> (start: Int, members: SharedMembers) {
        let start = output.count
        var members = SharedMembers()
        output.appendLine(upTo: room(change, record) + bronzeSHA256.count) { writer in
            let eventID = writer.string("{\"event_id\":", change.eventID)
            let eventTime = writer.time(",\"event_time\":", change.eventTimeMilliseconds)
            let wiki = writer.string(",\"wiki\":", change.wiki)
            writer.string(",\"domain\":", change.domain)
            let type = writer.string(",\"type\":", change.type)
            writer.integerOrNull(",\"namespace\":", change.namespace)
            let title = writer.string(",\"title\":", change.title)
            let pageURL = writer.string(",\"page_url\":", change.pageURL)
            let user = writer.string(",\"user\":", change.user)
            writer.bool(",\"is_bot\":", change.isBot)
            writer.bool(",\"is_minor\":", change.isMinor)
            let comment = writer.string(",\"comment\":", change.comment)
            if settings.codeVersion.cleansComments { appendCommentText(comment, to: &writer) }
            writer.integerOrNull(",\"length_old\":", change.lengthOld)
            writer.integerOrNull(",\"length_new\":", change.lengthNew)
            writer.integerOrNull(",\"delta\":", change.delta)
            writer.integerOrNull(",\"revision_old\":", change.revisionOld)
            writer.integerOrNull(",\"revision_new\":", change.revisionNew)
            let flags = appendFlags(change.flags, to: &writer)
            let lineage = appendLineage(eventID, record, bronzeSHA256: bronzeSHA256, to: &writer)
            members = SharedMembers(
                eventID: eventID, eventTime: eventTime, wiki: wiki, type: type, title: title, pageURL: pageURL,
                user: user, flags: flags, lineage: lineage)
        }
        return (start, members)
    }

    private mutating func cleanComment(_ change: RecentChange) {
        isCommentPlain = !settings.codeVersion.cleansComments || CommentText.isPlain(change.comment)
        guard !isCommentPlain else { return }
        commentText.removeAll(keepingCapacity: true)
        CommentText.append(change.comment, to: &commentText)
    }

    /// - Parameter comment: where the comment stands in the line, with its quotes.
    private func appendCommentText(_ comment: Range<Int>, to writer: inout LineWriter) {
        if isCommentPlain {
            writer.bytes(",\"comment_text\":", UnsafeRawBufferPointer(rebasing: writer.written[comment]))
        } else {
            writer.string(",\"comment_text\":", commentText)
        }
    }

    /// - Parameters:
    ///   - silver: the Silver line of the same change.
    ///   - members: where in it stands what is repeated.
    private mutating func appendGold(
        _ change: RecentChange, silver: UnsafeRawBufferPointer, _ members: SharedMembers,
        hasher: inout some ContentHasher & ~Copyable, to output: inout [UInt8]
    ) throws {
        renderText(change)
        digest.removeAll(keepingCapacity: true)
        try text.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        let room =
            Self.frameBytes + silver.count + 2 * digest.count
            + JSONText.bytesPerByteMax * (collection.utf8.count + text.count)
        try output.appendLine(upTo: room) { writer in
            func repeated(_ prefix: StaticString, _ member: Range<Int>) {
                writer.bytes(prefix, UnsafeRawBufferPointer(rebasing: silver[member]))
            }
            repeated("{\"doc_id\":", members.eventID)
            writer.string(",\"version\":1,\"collection\":", collection)
            writer.literal(",\"attributes\":{}")
            repeated(",\"type\":", members.type)
            writer.integerOrNull(",\"namespace\":", change.namespace)
            repeated(",\"user\":", members.user)
            writer.bool(",\"is_bot\":", change.isBot)
            writer.string(",\"text\":", text)
            repeated(",\"event_time\":", members.eventTime)
            repeated(",\"title\":", members.title)
            repeated(",\"url\":", members.pageURL)
            writer.string(",\"lang\":", languages.code(wiki: change.wiki))
            repeated(",\"wiki\":", members.wiki)
            repeated("", members.flags)
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
            repeated("", members.lineage)
        }
    }

    /// - Returns: where it stands, with the comma before it.
    private func appendFlags(_ flags: QualityFlags, to writer: inout LineWriter) -> Range<Int> {
        let start = writer.count
        writer.literal(",\"quality_flags\":[")
        var separator: StaticString = ""
        flags.forEach { rule in
            writer.string(separator, rule.rawValue)
            separator = ","
        }
        writer.literal("]")
        return start..<writer.count
    }

    /// Appends the last member and the line's end.
    ///
    /// - Parameter eventID: where the id stands in the line, with its quotes.
    /// - Returns: where it stands, with the comma before it.
    private func appendLineage(
        _ eventID: Range<Int>, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8], to writer: inout LineWriter
    ) -> Range<Int> {
        let start = writer.count
        writer.string(",\"lineage\":{\"logic_version\":", logicVersion)
        writer.string(",\"parents\":[{\"topic\":", record.topic)
        writer.integer(",\"partition\":", Int64(record.partition))
        writer.integer(",\"offset\":", record.offset)
        writer.bytes(",\"event_id\":", UnsafeRawBufferPointer(rebasing: writer.written[eventID]))
        writer.string(",\"bronze_sha256\":", bronzeSHA256)
        if settings.codeVersion.followsRedrives, let origin = record.origin {
            // The record's own event id: that of the quarantined one may be what was wrong with it.
            writer.string("},{\"topic\":", origin.topic)
            writer.integer(",\"partition\":", Int64(origin.partition))
            writer.integer(",\"offset\":", origin.offset)
            writer.bytes(",\"event_id\":", UnsafeRawBufferPointer(rebasing: writer.written[eventID]))
            writer.string(",\"bronze_sha256\":", origin.bronzeSHA256)
        }
        writer.literal("}]}}\n")
        return start..<writer.count
    }

    /// Renders the template into ``text``, cut after the allowed number of Unicode scalars.
    private mutating func renderText(_ change: RecentChange) {
        // Out of self for the time of the call, so that the closure may read self; the storage is kept.
        var text: [UInt8] = []
        swap(&text, &self.text)
        text.removeAll(keepingCapacity: true)
        let cleansComments = settings.codeVersion.cleansComments
        settings.template.render(to: &text, tidiesJoints: cleansComments) { field, output in
            switch field {
            case .title: PlainText.append(change.title, to: &output)
            case .comment where !cleansComments: PlainText.append(comment: change.comment, to: &output)
            case .comment where isCommentPlain: output.append(contentsOf: change.comment)
            case .comment: output.append(contentsOf: commentText)
            case .commentVerbatim: PlainText.append(change.comment, to: &output)
            case .user: PlainText.append(change.user, to: &output)
            case .wiki: output.append(contentsOf: change.wiki)
            case .domain: output.append(contentsOf: change.domain)
            case .type: output.append(contentsOf: change.type)
            case .delta:
                guard let delta = change.delta else { return }
                if delta > 0 { output.append(UInt8(ascii: "+")) }
                Decimal.append(delta, to: &output)
            }
        }
        swap(&text, &self.text)
        cutText(afterScalars: settings.contentCharactersMax)
    }

    private mutating func cutText(afterScalars limit: Int) {
        guard text.count > limit else { return }
        var scalars = 0
        for (index, byte) in text.enumerated() where byte & 0xC0 != 0x80 {
            if scalars == limit {
                text.removeLast(text.count - index)
                return
            }
            scalars += 1
        }
    }
}
