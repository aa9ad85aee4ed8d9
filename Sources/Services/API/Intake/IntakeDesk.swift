package import KafkaAccess
package import Records
package import Sources

/// What the API needs to take documents: what is declared, the way to the topics, and how far the index has come.
package struct IntakeDesk: Sendable {
    /// All declared sources.
    package var sources: @Sendable () -> [SourceDeclaration]
    /// What operators ask of a source; nil as long as that is not known.
    package var wishes: @Sendable (_ source: String) -> SourceWishes?
    /// Why that is not known; nil for nothing in particular.
    package var wishesFault: @Sendable () -> String?
    /// The way to the topics.
    package var publisher: RecordPublisher
    /// How far the index is in the topics, and the index version by then. Blocks.
    package var reached: @Sendable (_ timeoutMilliseconds: Int) throws -> IndexReach
    /// How many of these records of a topic partition the index shows documents of, or has shown. Blocks.
    package var shown:
        @Sendable (
            _ tenant: TenantID, _ place: TopicPartition, _ offsets: [Int64], _ timeoutMilliseconds: Int
        ) throws -> Int

    /// How far the index is.
    package struct IndexReach: Sendable {
        /// By topic partition.
        package var nextOffsets: [TopicPartition: Int64]
        package var indexVersion: Int64

        package init(nextOffsets: [TopicPartition: Int64], indexVersion: Int64) {
            self.nextOffsets = nextOffsets
            self.indexVersion = indexVersion
        }
    }

    /// Memberwise.
    package init(
        sources: @escaping @Sendable () -> [SourceDeclaration],
        wishes: @escaping @Sendable (String) -> SourceWishes? = { _ in SourceWishes() },
        wishesFault: @escaping @Sendable () -> String? = { nil }, publisher: RecordPublisher,
        reached: @escaping @Sendable (Int) throws -> IndexReach,
        shown: @escaping @Sendable (TenantID, TopicPartition, [Int64], Int) throws -> Int
    ) {
        self.sources = sources
        self.wishes = wishes
        self.wishesFault = wishesFault
        self.publisher = publisher
        self.reached = reached
        self.shown = shown
    }
}
