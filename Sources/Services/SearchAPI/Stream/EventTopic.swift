/// A Gold document as the topic holds it.
package struct TopicEvent: Sendable, Equatable {
    package var generation: Int64
    /// The source's topic partition and offset.
    package var partition: Int32
    package var offset: Int64
    /// The Gold line, one JSON object.
    package var line: [UInt8]
    package var wiki: String
    package var type: String
    package var isBot: Bool
    package var text: String

    package init(
        generation: Int64, partition: Int32, offset: Int64, line: [UInt8], wiki: String, type: String, isBot: Bool,
        text: String
    ) {
        self.generation = generation
        self.partition = partition
        self.offset = offset
        self.line = line
        self.wiki = wiki
        self.type = type
        self.isBot = isBot
        self.text = text
    }
}

/// Reads the Gold topic in its order. Blocks, and is confined to one lane.
package protocol EventReader: AnyObject {
    /// Waits up to the timeout for documents and takes what is there, `countMax` at most.
    func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicEvent]
    /// Whether everything that the topic held when the reader was opened has been read.
    var hasReachedEnd: Bool { get }
}

/// The Gold topic of one source topic.
package protocol EventTopic: Sendable {
    /// A reader of everything from `start` on. It may begin earlier, and may give documents again that are below; it
    /// leaves none out that the topic still holds. Blocks.
    func open(from start: OffsetVector) throws -> any EventReader
    /// The same, for a caller that may have to end in the middle of a wait.
    ///
    /// - Parameter isStopped: asked during long waits, which then throw `CancellationError`.
    func open(from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool) throws -> any EventReader
}

extension EventTopic {
    /// A topic without long waits need not ask.
    package func open(
        from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader {
        try open(from: start)
    }
}

/// Up to where the active generation can be searched.
package struct IndexedUpTo: Sendable, Equatable {
    package var generation: Int64
    /// Next source offsets.
    package var offsets: OffsetVector

    package init(generation: Int64, offsets: OffsetVector) {
        self.generation = generation
        self.offsets = offsets
    }
}

/// Which events a client of the stream wants.
struct EventFilter: Sendable {
    var wikis: Set<String> = []
    var types: Set<String> = []
    var isBot: Bool?
    /// In lower case.
    var text: String?

    init(_ input: StreamInput) {
        wikis = Set(input.events.filters.wikis)
        types = Set(input.events.filters.types)
        isBot = input.events.filters.isBot
        text = input.text?.lowercased()
    }

    var takesAll: Bool { wikis.isEmpty && types.isEmpty && isBot == nil && text == nil }

    func takes(_ event: TopicEvent) -> Bool {
        (wikis.isEmpty || wikis.contains(event.wiki)) && (types.isEmpty || types.contains(event.type))
            && (isBot ?? event.isBot) == event.isBot
            && (text.map { event.text.lowercased().contains($0) } ?? true)
    }
}
