import Bytes
package import Records

/// Makes Silver, Gold or quarantine lines of Wikimedia recent changes; a pure function of record and settings.
package struct RecentChangeTransform {
    package let settings: TransformSettings
    package let logicVersion: String
    private let wikis: [[UInt8]]
    private let types: [[UInt8]]
    private let destination: GoldLine.Destination
    private var text: [UInt8] = []
    /// The cleaned comment of the change at hand, where it differs from the comment.
    private var commentText: [UInt8] = []
    private var isCommentPlain = true
    private var digest: [UInt8] = []
    private var cutter: PassageCutter
    /// Of the text at hand; none where all of it is one.
    private var passages: [PassageRange] = []
    private var languages = WikiLanguageCache()
    /// Of the texts before; nil where none is left out for the text of another.
    private var window: NearDuplicateWindow?

    /// - Parameters:
    ///   - collection: the name under which Gold documents are found, such as the topic's.
    ///   - tenant: whom they belong to.
    package init(
        settings: TransformSettings, collection: String, tenant: TenantID = .standard,
        hasher: inout some ContentHasher & ~Copyable
    ) throws {
        self.settings = settings
        destination = GoldLine.Destination(tenant: tenant, collection: collection)
        cutter = PassageCutter(settings.passages)
        logicVersion = try settings.logicVersion(hasher: &hasher)
        wikis = settings.wikis.map { Array($0.utf8) }
        types = settings.types.map { Array($0.utf8) }
        window = settings.stages.nearDuplicates.map { NearDuplicateWindow($0) }
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
        let flags: QualityFlags
        do throws(Rejection) {
            (change, flags) = try RecentChangeReader.read(
                fields, brokerMilliseconds: record.brokerMilliseconds, boundsTexts: settings.codeVersion.boundsTexts)
        } catch {
            let id = fields.value(at: RecentChangeField.id.rawValue)
            output.reject(
                record, error, eventID: id.kind == .string ? id.text : nil, bronzeSHA256: bronzeSHA256,
                logicVersion: logicVersion, embedsValue: embedsValue)
            return
        }
        cleanComment(change)
        let silver = SilverLine.append(
            change, of: record, cleaned: cleanedComment, flags: flags.names, logicVersion: logicVersion,
            bronzeSHA256: bronzeSHA256, origin: settings.codeVersion.followsRedrives ? record.origin : nil,
            to: &output.silver)
        output.silverCount += 1
        output.eventTimes.append(change.eventTimeMilliseconds)
        output.count(flags, offset: record.offset)
        guard becomesGold(change) else { return }
        let start = output.gold.count
        renderText(change)
        // Each change is a document of its own: there is no earlier version that would have to go.
        let stage = leavesOut(change, record)
        guard stage.isEmpty else { return output.count(stage, offset: record.offset) }
        if settings.codeVersion.cutsPassages { text.withUnsafeBytes { cutter.cut($0, into: &passages) } }
        try GoldLine.append(
            change, silver: output.silver, silver, to: destination, shape: settings.codeVersion.goldShape, text: text,
            passages: passages, lang: languages.code(wiki: change.wiki), digest: &digest, hasher: &hasher,
            output: &output.gold)
        output.goldCount += 1
        output.gold.withUnsafeBytes { buffer in
            goldLine(change.eventID, UnsafeRawBufferPointer(rebasing: buffer[start..<buffer.count - 1]))
        }
    }

    /// The stage that leaves a change out whose text is rendered.
    private mutating func leavesOut(_ change: RecentChange, _ record: borrowing SourceRecord) -> QualityFlags {
        if settings.stages.isTooShort(text) { return .textTooShort }
        let isDuplicate = window?.isDuplicate(
            id: Array(change.eventID), version: 1, text: text, offset: record.offset,
            brokerMilliseconds: record.brokerMilliseconds)
        return isDuplicate == true ? .nearDuplicate : []
    }

    /// Whether texts of earlier changes decide.
    package var hasWindow: Bool { window != nil }

    /// Takes a record into the window and makes nothing of it.
    package mutating func observe(_ record: borrowing SourceRecord, fields: EventFields) {
        guard hasWindow else { return }
        let read = try? RecentChangeReader.read(
            fields, brokerMilliseconds: record.brokerMilliseconds, boundsTexts: settings.codeVersion.boundsTexts)
        guard let change = read?.change, becomesGold(change) else { return }
        cleanComment(change)
        renderText(change)
        _ = leavesOut(change, record)
    }

    /// Empties the window.
    package mutating func forget() { window?.removeAll() }

    private func becomesGold(_ change: RecentChange) -> Bool {
        if settings.dropsBots && change.isBot { return false }
        guard types.contains(where: { $0.elementsEqual(change.type) }) else { return false }
        if !wikis.isEmpty && !wikis.contains(where: { $0.elementsEqual(change.wiki) }) { return false }
        if !settings.namespaces.isEmpty {
            guard let namespace = change.namespace, settings.namespaces.contains(namespace) else { return false }
        }
        return true
    }

    private mutating func cleanComment(_ change: RecentChange) {
        isCommentPlain = !settings.codeVersion.cleansComments || CommentText.isPlain(change.comment)
        guard !isCommentPlain else { return }
        commentText.removeAll(keepingCapacity: true)
        CommentText.append(change.comment, to: &commentText)
    }

    private var cleanedComment: SilverLine.CleanedComment {
        guard settings.codeVersion.cleansComments else { return .none }
        return isCommentPlain ? .same : .text(commentText)
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
