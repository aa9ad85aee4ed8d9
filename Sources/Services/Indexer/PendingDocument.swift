package import Records

/// A document on its way into the index, or a deletion of all that its source has below a version.
package struct PendingDocument: Sendable, Equatable {
    package var generation: Int64
    /// The topic partition of its Bronze record.
    package var source: TopicPartition
    package var sourceOffset: Int64
    /// Broker time of the Bronze record, milliseconds since 1970; nil where unknown.
    package var sourceTimestampMilliseconds: Int64?
    package var document: GoldDocument
    /// The Gold line, as it was read.
    package var line: [UInt8]

    package init(
        generation: Int64, source: TopicPartition, sourceOffset: Int64, sourceTimestampMilliseconds: Int64? = nil,
        document: GoldDocument, line: [UInt8] = []
    ) {
        self.generation = generation
        self.source = source
        self.sourceOffset = sourceOffset
        self.sourceTimestampMilliseconds = sourceTimestampMilliseconds
        self.document = document
        self.line = line
    }
}
