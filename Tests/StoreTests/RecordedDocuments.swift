import Embeddings
import IndexTesting
import PlatformTesting
import Store

@testable import Logic

/// Recorded events as the platform would index them.
enum RecordedDocuments {
    private static let batchSize = 250

    /// What the standard template makes of an event.
    static func text(_ event: KnownItems.Document) -> String {
        var comment: [UInt8] = []
        Array(event.comment.utf8).withUnsafeBufferPointer { CommentText.append($0, to: &comment) }
        let said = comment.isEmpty ? "" : ": " + String(decoding: comment, as: UTF8.self)
        return "\(event.title)\(said). \(event.type) by \(event.user) on \(event.domain)."
    }

    /// Indexes events, the later ones as the newer ones.
    ///
    /// - Parameter embedder: nil: without vectors.
    static func write(
        _ events: [KnownItems.Document], to fixture: IndexFixture, embedder: LocalEmbedder? = nil
    ) async throws {
        for start in stride(from: 0, to: events.count, by: batchSize) {
            let batch = events[start..<min(start + batchSize, events.count)]
            let texts = batch.map(text)
            let vectors = try await embedder?.embed(texts, priority: .batch)
            let documents = batch.indices.map { place in
                document(
                    events[place], number: place + 1, text: texts[place - start], vector: vectors?[place - start],
                    model: embedder == nil ? "" : "test")
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: IndexFixture.limit)
        }
        try fixture.countWords()
    }

    private static func document(
        _ event: KnownItems.Document, number: Int, text: String, vector: [Float]?, model: String
    ) -> IndexedDocument {
        var indexed = IndexFixture.document(number, text: text, wiki: event.wiki, embedding: vector, model: model)
        indexed.document.title = event.title
        indexed.document.lang = Array(event.wiki.utf8).withUnsafeBufferPointer {
            String(decoding: WikiLanguage.code(wiki: $0), as: UTF8.self)
        }
        return indexed
    }
}
