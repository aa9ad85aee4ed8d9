package import Records

extension DocumentIndexer {
    /// Documents per index transaction.
    private static let batchDocumentsMax = 256

    /// Embeds and writes Gold lines that a replay made, in transactions of at most 256 documents.
    ///
    /// - Parameter lines: with their source offsets.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int {
        var embedded = 0
        var start = 0
        while start < lines.count {
            let end = min(start + Self.batchDocumentsMax, lines.count)
            let documents = try lines[start..<end].map { entry in
                PendingDocument(
                    generation: generation, source: source, sourceOffset: entry.offset,
                    document: try entry.line.withUnsafeBytes { try GoldLine.decode($0) }, line: entry.line)
            }
            embedded += try await index(documents).embedded
            start = end
        }
        return embedded
    }
}
