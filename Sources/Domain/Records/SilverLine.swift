import Bytes

/// Silver lines of recent changes (`schemas/silver.schema.json`): one trusted, typed change each.
///
/// The lake stores them for people and their tools. What the program itself reads again is their offset and their lineage.
package enum SilverLine {
    /// The line's members, in their order.
    package static let fields = [
        "event_id", "event_time", "wiki", "domain", "type", "namespace", "title", "page_url", "user", "is_bot",
        "is_minor", "comment", "comment_text", "length_old", "length_new", "delta", "revision_old", "revision_new",
        "quality_flags", "lineage",
    ]

    /// A Wikimedia recent change that passed all rules, lent from the parser.
    ///
    /// Source: the schema mediawiki/recentchange 1.0.x and the recordings' statistics.
    package struct RecentChange {
        package let eventID: UnsafeBufferPointer<UInt8>
        /// Milliseconds since 1970.
        package let eventTimeMilliseconds: Int64
        package let wiki: UnsafeBufferPointer<UInt8>
        package let domain: UnsafeBufferPointer<UInt8>
        package let type: UnsafeBufferPointer<UInt8>
        package let namespace: Int64?
        package let title: UnsafeBufferPointer<UInt8>
        package let pageURL: UnsafeBufferPointer<UInt8>
        package let user: UnsafeBufferPointer<UInt8>
        package let isBot: Bool
        package let isMinor: Bool
        package let comment: UnsafeBufferPointer<UInt8>
        /// Bytes of the page before the change.
        package let lengthOld: Int64?
        /// Bytes of the page behind it.
        package let lengthNew: Int64?
        package let revisionOld: Int64?
        package let revisionNew: Int64?

        package init(
            eventID: UnsafeBufferPointer<UInt8>, eventTimeMilliseconds: Int64, wiki: UnsafeBufferPointer<UInt8>,
            domain: UnsafeBufferPointer<UInt8>, type: UnsafeBufferPointer<UInt8>, namespace: Int64?,
            title: UnsafeBufferPointer<UInt8>, pageURL: UnsafeBufferPointer<UInt8>, user: UnsafeBufferPointer<UInt8>,
            isBot: Bool, isMinor: Bool, comment: UnsafeBufferPointer<UInt8>, lengthOld: Int64?, lengthNew: Int64?,
            revisionOld: Int64?, revisionNew: Int64?
        ) {
            self.eventID = eventID
            self.eventTimeMilliseconds = eventTimeMilliseconds
            self.wiki = wiki
            self.domain = domain
            self.type = type
            self.namespace = namespace
            self.title = title
            self.pageURL = pageURL
            self.user = user
            self.isBot = isBot
            self.isMinor = isMinor
            self.comment = comment
            self.lengthOld = lengthOld
            self.lengthNew = lengthNew
            self.revisionOld = revisionOld
            self.revisionNew = revisionNew
        }

        /// What the change added, in bytes; a new page has no old length, which counts as 0.
        package var delta: Int64? {
            guard let lengthNew else { return nil }
            let (delta, overflow) = lengthNew.subtractingReportingOverflow(lengthOld ?? 0)
            return overflow ? nil : delta
        }
    }

    /// The comment without markup, a member of its own from transform version 3 on.
    package enum CleanedComment {
        /// The line has no such member.
        case none
        /// Nothing was to be cleaned.
        case same
        case text([UInt8])
    }

    /// Where a line begins, and where in it the members stand that Gold repeats, each with its quotes.
    package struct Written {
        /// The line's first byte in the text it was appended to.
        let start: Int
        var (eventID, eventTime, wiki, domain, type) = (0..<0, 0..<0, 0..<0, 0..<0, 0..<0)
        var (title, pageURL, user) = (0..<0, 0..<0, 0..<0)
        /// `quality_flags` with its name and the comma before it.
        var flags = 0..<0
        /// `lineage` with its name, the comma before it, and the line's end.
        var lineage = 0..<0

        init(at start: Int) { self.start = start }
    }

    /// Room for the names, numbers and times of a Silver or Gold line, that is for all but its texts.
    static let frameBytes = 1_024

    /// Appends the line of a change with its line feed.
    ///
    /// - Parameters:
    ///   - cleaned: the comment as people read it.
    ///   - flags: the rules that the change breaks without being rejected, by name.
    ///   - bronzeSHA256: hexadecimal digest of the raw value.
    ///   - origin: the quarantined record that this one stands for, where the logic follows redrives.
    package static func append(
        _ change: RecentChange, of record: borrowing SourceRecord, cleaned: CleanedComment = .none, flags: [String],
        logicVersion: String, bronzeSHA256: [UInt8], origin: RedriveOrigin?, to output: inout [UInt8]
    ) -> Written {
        var written = Written(at: output.count)
        var room = room(change, record, logicVersion, origin) + bronzeSHA256.count
        switch cleaned {
        case .none: break
        case .same: room += JSONText.bytesPerByteMax * change.comment.count
        case .text(let text): room += JSONText.bytesPerByteMax * text.count
        }
        output.appendLine(upTo: room) { writer in
            written.eventID = writer.string("{\"event_id\":", change.eventID)
            written.eventTime = writer.time(",\"event_time\":", change.eventTimeMilliseconds)
            written.wiki = writer.string(",\"wiki\":", change.wiki)
            written.domain = writer.string(",\"domain\":", change.domain)
            written.type = writer.string(",\"type\":", change.type)
            writer.integerOrNull(",\"namespace\":", change.namespace)
            written.title = writer.string(",\"title\":", change.title)
            written.pageURL = writer.string(",\"page_url\":", change.pageURL)
            written.user = writer.string(",\"user\":", change.user)
            writer.bool(",\"is_bot\":", change.isBot)
            writer.bool(",\"is_minor\":", change.isMinor)
            let comment = writer.string(",\"comment\":", change.comment)
            switch cleaned {
            case .none: break
            case .same:
                writer.bytes(",\"comment_text\":", UnsafeRawBufferPointer(rebasing: writer.written[comment]))
            case .text(let text): writer.string(",\"comment_text\":", text)
            }
            writer.integerOrNull(",\"length_old\":", change.lengthOld)
            writer.integerOrNull(",\"length_new\":", change.lengthNew)
            writer.integerOrNull(",\"delta\":", change.delta)
            writer.integerOrNull(",\"revision_old\":", change.revisionOld)
            writer.integerOrNull(",\"revision_new\":", change.revisionNew)
            written.flags = appendFlags(flags, to: &writer)
            written.lineage = Lineage.append(
                record, eventID: written.eventID, logicVersion: logicVersion, bronzeSHA256: bronzeSHA256,
                origin: origin, to: &writer)
        }
        return written
    }

    /// Room for the texts, of which the event id may stand in the line three times.
    private static func room(
        _ change: RecentChange, _ record: borrowing SourceRecord, _ logicVersion: String, _ origin: RedriveOrigin?
    ) -> Int {
        var texts = 3 * (change.eventID.count + record.topic.utf8.count + logicVersion.utf8.count)
        texts += change.wiki.count + change.domain.count + change.type.count + change.title.count
        texts += change.pageURL.count + change.user.count + change.comment.count
        if let origin { texts += origin.topic.utf8.count + origin.bronzeSHA256.utf8.count }
        return frameBytes + JSONText.bytesPerByteMax * texts
    }

    /// - Returns: where it stands, with the comma before it.
    private static func appendFlags(_ flags: [String], to writer: inout LineWriter) -> Range<Int> {
        let start = writer.count
        writer.literal(",\"quality_flags\":[")
        var separator: StaticString = ""
        for flag in flags {
            writer.string(separator, flag)
            separator = ","
        }
        writer.literal("]")
        return start..<writer.count
    }
}
