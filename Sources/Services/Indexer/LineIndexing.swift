package import Records
package import Store

extension DocumentIndexer {
    /// Documents per index transaction.
    private static let batchDocumentsMax = 256

    /// Embeds and writes Gold lines that a replay made, in transactions of at most 256 documents. While some are written the
    /// next ones are prepared: a text that is new in both may be embedded for each.
    ///
    /// - Parameter lines: with their source offsets.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int {
        var embedded = 0
        var start = 0
        var prepared = try await prepare(lines, from: start, generation, source)
        while start < lines.count {
            start += Self.batchDocumentsMax
            let next = start
            async let following = prepare(lines, from: next, generation, source)
            embedded += try await write(prepared, moving: [], goldPositions: [], origin: .replay).embedded
            prepared = try await following
        }
        return embedded
    }

    /// Embeds and writes Gold lines of a lake in one index transaction, which moves the checkpoint.
    ///
    /// - Parameters:
    ///   - lines: with their source offsets, some hundreds at most; none where no record of a stretch became a document.
    ///   - move: from the checkpoint as it stands to what lies behind the lines.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove
    ) async throws -> Int {
        let prepared = try await prepare(try Self.pending(lines[...], move.generation, move.source))
        return try await write(prepared, moving: [move], goldPositions: [], origin: .replay).embedded
    }

    private static func pending(
        _ lines: ArraySlice<(offset: Int64, line: [UInt8])>, _ generation: Int64, _ source: TopicPartition
    ) throws -> [PendingDocument] {
        try lines.map { entry in
            PendingDocument(
                generation: generation, source: source, sourceOffset: entry.offset,
                document: try entry.line.withUnsafeBytes { try GoldLine.decode($0) }, line: entry.line)
        }
    }

    /// Prepares the batch that begins with a line; nothing behind the last one.
    private func prepare(
        _ lines: [(offset: Int64, line: [UInt8])], from start: Int, _ generation: Int64, _ source: TopicPartition
    ) async throws -> Prepared {
        guard start < lines.count else { return Prepared() }
        let batch = lines[start..<min(start + Self.batchDocumentsMax, lines.count)]
        return try await prepare(try Self.pending(batch, generation, source))
    }
}
