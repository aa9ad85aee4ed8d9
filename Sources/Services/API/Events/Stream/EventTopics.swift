import Glibc
package import Records
import Synchronization

/// A text together with its lower-case form, which is made when a filter first asks for it, once for all of them.
package final class FoldedText: Sendable, Equatable {
    /// As it is.
    package let text: String
    private let folded = Mutex<[UInt8]?>(nil)

    /// How many texts were folded since the process started; for tests.
    static let folds = Atomic(0)

    package init(_ text: String) {
        self.text = text
    }

    package static func == (left: FoldedText, right: FoldedText) -> Bool { left.text == right.text }

    /// The form of a filter's words.
    static func fold(_ text: String) -> [UInt8] { Array(text.lowercased().utf8) }

    /// Whether the text holds words that were folded before.
    func holds(_ words: [UInt8]) -> Bool {
        let bytes = folded.withLock { folded in
            if let folded { return folded }
            Self.folds.add(1, ordering: .relaxed)
            let made = Self.fold(text)
            folded = made
            return made
        }
        return bytes.withUnsafeBytes { bytes in
            words.withUnsafeBytes { words in Self.find(words, in: bytes) }
        }
    }

    /// Looks for the first byte, then at the others.
    private static func find(_ words: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> Bool {
        guard let wanted = words.baseAddress, let first = words.first else { return true }
        guard let start = bytes.baseAddress else { return false }
        var place = 0
        while place + words.count <= bytes.count {
            let length = bytes.count - words.count - place + 1
            guard let found = memchr(start + place, Int32(first), length) else { return false }
            if memcmp(found, wanted, words.count) == 0 { return true }
            place = UnsafeRawPointer(found) - start + 1
        }
        return false
    }
}

/// A Gold line as the topic holds it: a document, or what takes documents away.
package struct TopicEvent: Sendable, Equatable {
    package var generation: Int64
    /// The source's topic partition and offset.
    package var topicPartition: TopicPartition
    package var offset: Int64
    /// What clients get, one JSON object; see ``EventLine``.
    package var line: [UInt8]
    /// Nil where the line is about no document.
    package var docID: String?
    package var operation: GoldOperation
    /// Those that the line tells.
    package var attributes: AttributeList
    package let text: FoldedText
    /// By what it may be suppressed; nil where that is its place alone.
    package var subject: SuppressionSubject?
    /// When the broker took the document, milliseconds since 1970; nil where it does not tell.
    package var publishedAtMilliseconds: Int64?
    /// When the platform and the broker had its event, milliseconds since 1970; nil where the record does not tell.
    package var receivedAtMilliseconds: Int64?
    package var appendedAtMilliseconds: Int64?

    package init(
        generation: Int64, topicPartition: TopicPartition, offset: Int64, line: [UInt8], docID: String? = nil,
        operation: GoldOperation = .put, attributes: AttributeList, text: String, publishedAtMilliseconds: Int64? = nil
    ) {
        self.generation = generation
        self.topicPartition = topicPartition
        self.operation = operation
        self.offset = offset
        self.line = line
        self.docID = docID
        self.attributes = attributes
        self.text = FoldedText(text)
        self.publishedAtMilliseconds = publishedAtMilliseconds
    }
}

/// Source offsets of which the Gold topic has no documents any more, or none that can be read.
package struct TopicGap: Sendable, Equatable {
    /// Why they are missing.
    package enum Reason: String, Sendable, CaseIterable {
        /// Retention deleted them.
        case expired
        /// Their bytes cannot be read.
        case unreadable
    }

    /// Why they are.
    package var reason: Reason
    /// The source's topic partition.
    package var topicPartition: TopicPartition
    /// The first offset that is missing.
    package var start: Int64
    /// The first one behind.
    package var end: Int64

    package init(_ reason: Reason, _ topicPartition: TopicPartition, start: Int64, end: Int64) {
        self.reason = reason
        self.topicPartition = topicPartition
        self.start = start
        self.end = end
    }
}

/// What a reader comes upon.
package enum TopicItem: Sendable, Equatable {
    case event(TopicEvent)
    case gap(TopicGap)

    /// The source's topic partition.
    package var topicPartition: TopicPartition {
        switch self {
        case .event(let event): event.topicPartition
        case .gap(let gap): gap.topicPartition
        }
    }

    /// The offset behind it.
    package var next: Int64 {
        switch self {
        case .event(let event): event.offset + 1
        case .gap(let gap): gap.end
        }
    }
}

/// Reads the Gold topic of one source in its order. Blocks, and is confined to one lane.
package protocol EventReader: AnyObject {
    /// Waits up to the timeout for documents and takes what is there, `countMax` records at most. A gap comes before the
    /// first document behind it.
    func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicItem]
    /// Whether everything that the topic held when the reader was opened has been read.
    var hasReachedEnd: Bool { get }
    /// Topic partitions with a gap of which no document tells yet where it ends.
    var openGaps: [Int32: TopicGap.Reason] { get }
    /// Up to where the source's topic partitions are committed, by what was read.
    var committed: OffsetVector { get }
}

/// The Gold topics of sources.
package protocol EventTopics: Sendable {
    /// A reader of everything that a source has from `start` on. It may begin earlier, and may give documents again that are
    /// below; it leaves none out that the topic still holds, and tells of those that it holds no more. Blocks.
    ///
    /// - Parameter isStopped: asked during long waits, which then throw `CancellationError`.
    func open(
        _ source: StreamSource, from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader
    /// Asks which logs the sources have, and how far they go; a log for each. Blocks, for some seconds at most.
    func logs(of sources: [StreamSource]) throws -> StreamLogs
    /// Follows the sources' topics from their ends on; nil where that cannot be. Blocks.
    func openSources(
        _ sources: [StreamSource], isStopped: @escaping @Sendable () -> Bool
    ) throws -> (any SourceReader)?
}

extension EventReader {
    package var committed: OffsetVector { OffsetVector() }
}

extension EventTopics {
    package func openSources(
        _ sources: [StreamSource], isStopped: @escaping @Sendable () -> Bool
    ) throws -> (any SourceReader)? { nil }

    /// The same, for a caller that never has to end in the middle.
    package func open(_ source: StreamSource, from start: OffsetVector) throws -> any EventReader {
        try open(source, from: start, isStopped: { false })
    }
}

/// Follows the sources' topics. Blocks, and is confined to one lane.
package protocol SourceReader: AnyObject {
    /// Waits up to the timeout for records and takes what is there, `countMax` at most.
    func next(countMax: Int, timeoutMilliseconds: Int) throws -> [StageStep]
}

/// Up to where the active generation can be searched.
package struct IndexedUpTo: Sendable, Equatable {
    package var generation: Int64
    /// Next source offsets, of all sources.
    package var offsets: OffsetVector
    /// What is suppressed, by tenant.
    package var suppressed: [TenantID: SuppressionSet]
    /// When the last transaction of the indexer began, milliseconds since 1970; nil where that is not known.
    package var indexedAtMilliseconds: Int64?

    package init(
        generation: Int64, offsets: OffsetVector, suppressed: [TenantID: SuppressionSet] = [:],
        indexedAtMilliseconds: Int64? = nil
    ) {
        self.generation = generation
        self.offsets = offsets
        self.suppressed = suppressed
        self.indexedAtMilliseconds = indexedAtMilliseconds
    }
}
