import Bytes
package import Events

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
    private var digest: [UInt8] = []
    // The wiki of the last change and its language: changes of one wiki come in runs.
    private var lastWiki: [UInt8] = []
    private var lastLanguage: [UInt8] = []

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
    package mutating func apply<Source: FieldSource & ~Copyable>(
        _ record: borrowing SourceRecord, fields: borrowing Source, bronzeSHA256: [UInt8], embedsValue: Bool,
        hasher: inout some ContentHasher & ~Copyable, output: inout DerivedLines,
        goldLine: (_ documentID: UnsafeBufferPointer<UInt8>, _ line: UnsafeRawBufferPointer) -> Void
    ) throws {
        let change: RecentChange
        do throws(Rejection) {
            change = try RecentChangeReader<Source>.read(fields, brokerMilliseconds: record.timestampMilliseconds)
        } catch {
            let id = fields.value(at: RecentChangeField.id.rawValue)
            reject(
                record, error, eventID: id.kind == .string ? id.text : nil, bronzeSHA256: bronzeSHA256,
                embedsValue: embedsValue, output: &output)
            return
        }
        appendSilver(change, record, bronzeSHA256: bronzeSHA256, to: &output.silver)
        output.silverCount += 1
        output.eventTimes.append(change.eventTimeMilliseconds)
        output.count(change.flags, offset: record.offset)
        guard becomesGold(change) else { return }
        let start = output.gold.count
        try appendGold(change, record, bronzeSHA256: bronzeSHA256, hasher: &hasher, to: &output.gold)
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

    private func appendSilver(
        _ change: RecentChange, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8], to output: inout [UInt8]
    ) {
        LineWriter.string("{\"event_id\":", change.eventID, to: &output)
        LineWriter.time(",\"event_time\":", change.eventTimeMilliseconds, to: &output)
        LineWriter.string(",\"wiki\":", change.wiki, to: &output)
        LineWriter.string(",\"domain\":", change.domain, to: &output)
        LineWriter.string(",\"type\":", change.type, to: &output)
        LineWriter.integerOrNull(",\"namespace\":", change.namespace, to: &output)
        LineWriter.string(",\"title\":", change.title, to: &output)
        LineWriter.string(",\"page_url\":", change.pageURL, to: &output)
        LineWriter.string(",\"user\":", change.user, to: &output)
        LineWriter.bool(",\"is_bot\":", change.isBot, to: &output)
        LineWriter.bool(",\"is_minor\":", change.isMinor, to: &output)
        LineWriter.string(",\"comment\":", change.comment, to: &output)
        LineWriter.integerOrNull(",\"length_old\":", change.lengthOld, to: &output)
        LineWriter.integerOrNull(",\"length_new\":", change.lengthNew, to: &output)
        LineWriter.integerOrNull(",\"delta\":", change.delta, to: &output)
        LineWriter.integerOrNull(",\"revision_old\":", change.revisionOld, to: &output)
        LineWriter.integerOrNull(",\"revision_new\":", change.revisionNew, to: &output)
        appendFlags(change.flags, to: &output)
        appendLineage(change.eventID, record, bronzeSHA256: bronzeSHA256, to: &output)
        LineWriter.literal("}\n", to: &output)
    }

    private mutating func appendGold(
        _ change: RecentChange, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8],
        hasher: inout some ContentHasher & ~Copyable, to output: inout [UInt8]
    ) throws {
        renderText(change)
        if !lastWiki.elementsEqual(change.wiki) || lastLanguage.isEmpty {
            lastWiki.removeAll(keepingCapacity: true)
            lastWiki.append(contentsOf: change.wiki)
            lastLanguage = WikiLanguage.code(wiki: change.wiki)
        }
        let start = output.count
        LineWriter.string("{\"doc_id\":", change.eventID, to: &output)
        LineWriter.string(",\"version\":1,\"collection\":", collection, to: &output)
        LineWriter.literal(",\"attributes\":{}", to: &output)
        LineWriter.string(",\"type\":", change.type, to: &output)
        LineWriter.integerOrNull(",\"namespace\":", change.namespace, to: &output)
        LineWriter.string(",\"user\":", change.user, to: &output)
        LineWriter.bool(",\"is_bot\":", change.isBot, to: &output)
        LineWriter.string(",\"text\":", text, to: &output)
        LineWriter.time(",\"event_time\":", change.eventTimeMilliseconds, to: &output)
        LineWriter.string(",\"title\":", change.title, to: &output)
        LineWriter.string(",\"url\":", change.pageURL, to: &output)
        LineWriter.string(",\"lang\":", lastLanguage, to: &output)
        LineWriter.string(",\"wiki\":", change.wiki, to: &output)
        appendFlags(change.flags, to: &output)
        LineWriter.literal(",\"text_hash\":\"", to: &output)
        try text.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &output) }
        LineWriter.literal("\"", to: &output)
        // The content hash covers the line so far as an object of its own: all but itself and lineage.
        output.append(UInt8(ascii: "}"))
        digest.removeAll(keepingCapacity: true)
        try output.withUnsafeBytes { buffer in
            try hasher.appendHexDigest(of: UnsafeRawBufferPointer(rebasing: buffer[start...]), to: &digest)
        }
        output.removeLast()
        LineWriter.string(",\"content_hash\":", digest, to: &output)
        appendLineage(change.eventID, record, bronzeSHA256: bronzeSHA256, to: &output)
        LineWriter.literal("}\n", to: &output)
    }

    private func appendFlags(_ flags: QualityFlags, to output: inout [UInt8]) {
        LineWriter.literal(",\"quality_flags\":[", to: &output)
        var separator: StaticString = ""
        flags.forEach { rule in
            LineWriter.string(separator, rule.rawValue, to: &output)
            separator = ","
        }
        LineWriter.literal("]", to: &output)
    }

    private func appendLineage(
        _ eventID: UnsafeBufferPointer<UInt8>, _ record: borrowing SourceRecord, bronzeSHA256: [UInt8],
        to output: inout [UInt8]
    ) {
        LineWriter.string(",\"lineage\":{\"logic_version\":", logicVersion, to: &output)
        LineWriter.string(",\"parents\":[{\"topic\":", record.topic, to: &output)
        LineWriter.integer(",\"partition\":", Int64(record.partition), to: &output)
        LineWriter.integer(",\"offset\":", record.offset, to: &output)
        LineWriter.string(",\"event_id\":", eventID, to: &output)
        LineWriter.string(",\"bronze_sha256\":", bronzeSHA256, to: &output)
        if settings.codeVersion.followsRedrives, let origin = record.origin {
            // The record's own event id: that of the quarantined one may be what was wrong with it.
            LineWriter.string("},{\"topic\":", origin.topic, to: &output)
            LineWriter.integer(",\"partition\":", Int64(origin.partition), to: &output)
            LineWriter.integer(",\"offset\":", origin.offset, to: &output)
            LineWriter.string(",\"event_id\":", eventID, to: &output)
            LineWriter.string(",\"bronze_sha256\":", origin.bronzeSHA256, to: &output)
        }
        LineWriter.literal("}]}", to: &output)
    }

    /// Renders the template into ``text``, cut after the allowed number of Unicode scalars.
    private mutating func renderText(_ change: RecentChange) {
        // Out of self for the time of the call, so that the closure may read self; the storage is kept.
        var text: [UInt8] = []
        swap(&text, &self.text)
        text.removeAll(keepingCapacity: true)
        settings.template.render(to: &text) { field, output in
            switch field {
            case .title: appendFolded(change.title, to: &output)
            case .comment: PlainComment.append(change.comment, to: &output)
            case .user: appendFolded(change.user, to: &output)
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

    private func appendFolded(_ value: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        let start = output.count
        for byte in value { PlainComment.appendFolded(byte, to: &output, from: start) }
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
