import Bytes

extension GoldLine {
    /// Where a source's documents are found.
    package struct Destination: Sendable {
        package let tenant: TenantID
        /// The name that stands on the line.
        package let collection: String

        package init(tenant: TenantID = .standard, collection: String) {
            self.tenant = tenant
            self.collection = collection
        }

        fileprivate var room: Int { JSONText.bytesPerByteMax * (tenant.text.utf8.count + collection.utf8.count) }

        /// The tenant is named only where it is not the standard one.
        fileprivate func append(to writer: inout LineWriter) {
            if tenant != .standard { writer.string(",\"tenant\":", tenant.text) }
            writer.string(",\"collection\":", collection)
        }
    }

    /// Where the attributes of a recent change stand.
    package enum RecentChangeShape: Sendable {
        /// As members of the line, as transform versions 1 and 2 have it.
        case topLevel
        /// In `attributes`, as for every other document.
        case attributes
    }

    /// Appends the Gold line of a change with its line feed. What Silver has already escaped is copied from there.
    ///
    /// - Parameters:
    ///   - silver: the text that the change's Silver line was appended to.
    ///   - written: where in it that line stands.
    ///   - text: what is embedded and searched.
    ///   - passages: its parts; none where all of it is one passage.
    ///   - lang: ISO 639 code.
    ///   - digest: storage for one.
    package static func append(
        _ change: SilverLine.RecentChange, silver: [UInt8], _ written: SilverLine.Written, to destination: Destination,
        shape: RecentChangeShape, text: [UInt8], passages: [PassageRange], lang: [UInt8], digest: inout [UInt8],
        hasher: inout some ContentHasher & ~Copyable, output: inout [UInt8]
    ) throws {
        digest.removeAll(keepingCapacity: true)
        try text.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        let room =
            SilverLine.frameBytes + silver.count - written.start + 2 * digest.count + destination.room
            + JSONText.bytesPerByteMax * text.count + passagesRoom(passages)
        try silver.withUnsafeBytes { lines in
            let line = UnsafeRawBufferPointer(rebasing: lines[written.start...])
            try output.appendLine(upTo: room) { writer in
                func repeated(_ prefix: StaticString, _ member: Range<Int>) {
                    writer.bytes(prefix, UnsafeRawBufferPointer(rebasing: line[member]))
                }
                repeated("{\"doc_id\":", written.eventID)
                writer.literal(",\"version\":1")
                switch shape {
                case .topLevel:
                    destination.append(to: &writer)
                    writer.literal(",\"attributes\":{}")
                    repeated(",\"type\":", written.type)
                    writer.integerOrNull(",\"namespace\":", change.namespace)
                    repeated(",\"user\":", written.user)
                    writer.bool(",\"is_bot\":", change.isBot)
                case .attributes:
                    writer.literal(",\"operation\":\"put\"")
                    destination.append(to: &writer)
                    repeated(",\"attributes\":{\"wiki\":", written.wiki)
                    repeated(",\"domain\":", written.domain)
                    repeated(",\"type\":", written.type)
                    if let namespace = change.namespace { writer.integer(",\"namespace\":", namespace) }
                    repeated(",\"user\":", written.user)
                    writer.bool(",\"is_bot\":", change.isBot)
                    writer.bool(",\"is_minor\":", change.isMinor)
                    // What a new page has is not a difference between two lengths.
                    if change.lengthOld != nil, let delta = change.delta { writer.integer(",\"delta\":", delta) }
                    writer.literal("}")
                }
                writer.string(",\"text\":", text)
                // Its own storage: the digest of the text is still needed.
                try append(passages, of: text, to: &writer, hasher: &hasher)
                repeated(",\"event_time\":", written.eventTime)
                repeated(",\"title\":", written.title)
                repeated(",\"url\":", written.pageURL)
                writer.string(",\"lang\":", lang)
                if case .topLevel = shape { repeated(",\"wiki\":", written.wiki) }
                repeated("", written.flags)
                try appendHashes(to: &writer, digest: &digest, hasher: &hasher)
                repeated("", written.lineage)
            }
        }
    }

    /// A document as its logic hands it over. All texts are UTF-8, not escaped, and the lent ones valid for the call.
    package struct Content {
        package let docID: [UInt8]
        package let version: Int64
        package let operation: GoldOperation
        /// The members of `attributes` as JSON, with commas between them.
        package let attributes: [UInt8]
        /// What is embedded and searched.
        package let text: [UInt8]
        /// Its parts; none where all of it is one passage.
        package let passages: [PassageRange]
        /// Milliseconds since 1970.
        package let eventTimeMilliseconds: Int64
        package let title: UnsafeBufferPointer<UInt8>
        package let url: UnsafeBufferPointer<UInt8>
        /// Empty where it is not known.
        package let lang: UnsafeBufferPointer<UInt8>
        package let qualityFlags: [String]

        package init(
            docID: [UInt8], version: Int64, operation: GoldOperation, attributes: [UInt8], text: [UInt8],
            passages: [PassageRange] = [], eventTimeMilliseconds: Int64, title: UnsafeBufferPointer<UInt8>,
            url: UnsafeBufferPointer<UInt8>,
            lang: UnsafeBufferPointer<UInt8>, qualityFlags: [String]
        ) {
            self.docID = docID
            self.version = version
            self.operation = operation
            self.attributes = attributes
            self.text = text
            self.passages = passages
            self.eventTimeMilliseconds = eventTimeMilliseconds
            self.title = title
            self.url = url
            self.lang = lang
            self.qualityFlags = qualityFlags
        }

        fileprivate var room: Int {
            let texts =
                docID.count + text.count + title.count + url.count + lang.count
                + qualityFlags.reduce(0) { $0 + $1.utf8.count + 3 }
            return SilverLine.frameBytes + attributes.count + JSONText.bytesPerByteMax * texts
        }
    }

    /// Appends the Gold line of a document with its line feed.
    ///
    /// - Parameters:
    ///   - digest: storage for one.
    ///   - lineage: writes the last member with the comma before it, and the line's end; `lineageRoom` bytes at most.
    package static func append(
        _ content: Content, to destination: Destination, digest: inout [UInt8],
        hasher: inout some ContentHasher & ~Copyable, output: inout [UInt8], lineageRoom: Int,
        lineage: (inout LineWriter) -> Void
    ) throws {
        digest.removeAll(keepingCapacity: true)
        try content.text.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        let room =
            content.room + destination.room + 2 * digest.count + lineageRoom + passagesRoom(content.passages)
        try output.appendLine(upTo: room) { writer in
            writer.string("{\"doc_id\":", content.docID)
            writer.integer(",\"version\":", content.version)
            writer.literal(content.operation.member)
            destination.append(to: &writer)
            writer.literal(",\"attributes\":{")
            writer.bytes(content.attributes)
            writer.literal("}")
            writer.string(",\"text\":", content.text)
            try append(content.passages, of: content.text, to: &writer, hasher: &hasher)
            writer.time(",\"event_time\":", content.eventTimeMilliseconds)
            writer.string(",\"title\":", content.title)
            writer.string(",\"url\":", content.url)
            if content.lang.isEmpty {
                writer.literal(",\"lang\":\"und\"")
            } else {
                writer.string(",\"lang\":", content.lang)
            }
            append(flags: content.qualityFlags, to: &writer)
            try appendHashes(to: &writer, digest: &digest, hasher: &hasher)
            lineage(&writer)
        }
    }

    /// A deletion of all that a source has below a version.
    package struct DeletionBelow {
        /// The lowest that stays.
        package let version: Int64
        /// Milliseconds since 1970.
        package let eventTimeMilliseconds: Int64
        package let qualityFlags: [String]

        package init(version: Int64, eventTimeMilliseconds: Int64, qualityFlags: [String]) {
            self.version = version
            self.eventTimeMilliseconds = eventTimeMilliseconds
            self.qualityFlags = qualityFlags
        }
    }

    /// Appends the Gold line of a deletion of all below a version, with its line feed.
    ///
    /// - Parameters:
    ///   - digest: storage for one.
    ///   - lineage: as of a document's line.
    package static func append(
        _ deletion: DeletionBelow, to destination: Destination, digest: inout [UInt8],
        hasher: inout some ContentHasher & ~Copyable, output: inout [UInt8], lineageRoom: Int,
        lineage: (inout LineWriter) -> Void
    ) throws {
        let flags = deletion.qualityFlags.reduce(0) { $0 + $1.utf8.count + 3 }
        let room = SilverLine.frameBytes + destination.room + JSONText.bytesPerByteMax * flags + lineageRoom
        try output.appendLine(upTo: room) { writer in
            writer.integer("{\"version\":", deletion.version)
            writer.literal(GoldOperation.deleteBelow.member)
            destination.append(to: &writer)
            writer.time(",\"event_time\":", deletion.eventTimeMilliseconds)
            append(flags: deletion.qualityFlags, to: &writer)
            try appendContentHash(to: &writer, digest: &digest, hasher: &hasher)
            lineage(&writer)
        }
    }

    private static func append(flags: [String], to writer: inout LineWriter) {
        writer.literal(",\"quality_flags\":[")
        var separator: StaticString = ""
        for flag in flags {
            writer.string(separator, flag)
            separator = ","
        }
        writer.literal("]")
    }

    /// `{"start":…,"end":…,"hash":"…"},` with the largest numbers.
    private static let passageBytesMax = 128

    private static func passagesRoom(_ passages: [PassageRange]) -> Int {
        passages.isEmpty ? 0 : 16 + passages.count * passageBytesMax
    }

    /// Appends the member `passages`, or nothing where there are none.
    private static func append(
        _ passages: [PassageRange], of text: [UInt8], to writer: inout LineWriter,
        hasher: inout some ContentHasher & ~Copyable
    ) throws {
        guard !passages.isEmpty else { return }
        var digest: [UInt8] = []
        var separator: StaticString = ",\"passages\":[{\"start\":"
        for passage in passages {
            digest.removeAll(keepingCapacity: true)
            try text.withUnsafeBytes { bytes in
                try hasher.appendHexDigest(of: UnsafeRawBufferPointer(rebasing: bytes[passage.bytes]), to: &digest)
            }
            writer.integer(separator, Int64(passage.scalars.lowerBound))
            writer.integer(",\"end\":", Int64(passage.scalars.upperBound))
            writer.literal(",\"hash\":\"")
            writer.bytes(digest)
            writer.literal("\"}")
            separator = ",{\"start\":"
        }
        writer.literal("]")
    }

    /// Appends both hashes.
    ///
    /// - Parameter digest: the text's; afterwards the content's.
    private static func appendHashes(
        to writer: inout LineWriter, digest: inout [UInt8], hasher: inout some ContentHasher & ~Copyable
    ) throws {
        writer.literal(",\"text_hash\":\"")
        writer.bytes(digest)
        writer.literal("\"")
        try appendContentHash(to: &writer, digest: &digest, hasher: &hasher)
    }

    /// Appends the hash of all before it.
    ///
    /// - Parameter digest: storage; afterwards the content's.
    private static func appendContentHash(
        to writer: inout LineWriter, digest: inout [UInt8], hasher: inout some ContentHasher & ~Copyable
    ) throws {
        // It covers the line so far as an object of its own: all but itself and lineage.
        writer.literal("}")
        digest.removeAll(keepingCapacity: true)
        try hasher.appendHexDigest(of: writer.written, to: &digest)
        writer.removeLast()
        writer.literal(",\"content_hash\":\"")
        writer.bytes(digest)
        writer.literal("\"")
    }
}
