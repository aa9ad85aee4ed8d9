import Foundation
import Inference
import Testing

@testable import Embeddings

/// Sentences of answers keep no query waiting: others compute them.
@Suite struct SentencePriorityTests {
    private let helper = EmbeddingQueueTests()

    private func queue(sentences: Int = 1_000) -> EmbeddingQueue {
        EmbeddingQueue(queryTextsMax: 4, sentenceTextsMax: sentences, batchTextsMax: 10, batchWorkers: 1)
    }

    private func sentences(
        _ queue: EmbeddingQueue, id: UInt64, count: Int = 48, tokens: Int = 60
    ) -> Task<[[Float]], any Error> {
        let sequences = [[Int32]](repeating: [Int32](repeating: 7, count: tokens), count: count)
        return helper.job(id, sequences: sequences) { queue.add($0, priority: .sentence) }
    }

    private static func answer(_ work: EmbeddingWork) {
        work.round.deliver([[Float]](repeating: [1], count: work.batch.members.count), of: work.batch)
    }

    @Test func aQueryIsComputedAloneWhateverSentencesWait() async throws {
        let queue = queue()
        let answers = (1...6).map { sentences(queue, id: UInt64($0)) }
        while queue.queuedTexts < 6 * 48 { await Task.yield() }
        #expect(queue.next(.query) == nil && queue.next(.batch) == nil, "sentences are the sentences' workers'")
        let first = try #require(queue.next(.sentence))
        let query = helper.submit(queue, id: 100, texts: 1, priority: .query)
        while queue.queuedTexts(.query) < 1 { await Task.yield() }
        let work = try #require(queue.next(.query))
        #expect(work.round.sequences(of: work.batch) == [[101, 102]], "nothing else is computed with it")
        Self.answer(work)
        #expect(try await query.value.count == 1)
        Self.answer(first)
        var slices = 1
        while let work = queue.next(.sentence) {
            #expect(work.priority == .sentence)
            slices += 1
            Self.answer(work)
        }
        for answer in answers { #expect(try await answer.value.count == 48) }
        #expect(slices >= 6 * 48 / 4, "sentences come in slices, too")
    }

    /// A query of hundreds of tokens takes as long as dozens of short ones: those go first, and sentences after it.
    @Test func aLongQueryStandsBehindShortOnesAndBeforeSentences() async throws {
        let queue = queue()
        let answer = sentences(queue, id: 1)
        while queue.queuedTexts < 48 { await Task.yield() }
        let long = helper.job(2, sequences: [[Int32](repeating: 7, count: EmbeddingQueue.queryTokensMax + 1)]) {
            queue.add($0, priority: .query)
        }
        while queue.queuedTexts < 49 { await Task.yield() }
        let short = helper.submit(queue, id: 3, texts: 1, priority: .query)
        while queue.queuedTexts < 50 { await Task.yield() }
        let first = try #require(queue.next(.query))
        #expect(first.round.sequences(of: first.batch).allSatisfy { $0.count <= EmbeddingQueue.queryTokensMax })
        Self.answer(first)
        #expect(queue.next(.query) == nil, "the long one is not the queries' workers'")
        #expect(try await short.value.count == 1)
        // Alone in front, or with what fills the round: its own slice comes first, since the longest do.
        let second = try #require(queue.next(.sentence))
        #expect(second.round.sequences(of: second.batch).contains { $0.count > EmbeddingQueue.queryTokensMax })
        Self.answer(second)
        #expect(try await long.value.count == 1)
        queue.stop()
        await #expect(throws: EmbeddingError.stopped) { try await answer.value }
    }

    /// A long query waits for one slice of sentences at most, so that a slice is short.
    @Test func slicesOfSentencesAreShort() async throws {
        let queue = queue()
        let answer = sentences(queue, id: 1, count: 40, tokens: 16)
        while queue.queuedTexts < 40 { await Task.yield() }
        while let work = queue.next(.sentence) {
            #expect(work.batch.members.count * work.batch.length <= MicroBatch.sentenceTokensMax)
            Self.answer(work)
        }
        #expect(try await answer.value.count == 40)
    }

    @Test func sentencesFillNoQuerysPlace() async throws {
        let queue = queue(sentences: 100)
        let first = sentences(queue, id: 1)
        let second = sentences(queue, id: 2)
        while queue.queuedTexts < 96 { await Task.yield() }
        let third = sentences(queue, id: 3)
        let refusal = await #expect(throws: EmbeddingError.self) { try await third.value }
        #expect(refusal?.kind == .overloaded)
        let query = helper.submit(queue, id: 4, texts: 4, priority: .query)
        while queue.queuedTexts < 100 { await Task.yield() }
        Self.answer(try #require(queue.next(.query)))
        #expect(try await query.value.count == 4)
        queue.stop()
        for answer in [first, second] { await #expect(throws: EmbeddingError.stopped) { try await answer.value } }
    }

    /// Also those of a round that was begun: what is left of them is not computed.
    @Test func cancelledSentencesLeaveTheQueue() async throws {
        let queue = queue()
        let begun = sentences(queue, id: 1)
        while queue.queuedTexts < 48 { await Task.yield() }
        let work = try #require(queue.next(.sentence))
        let waiting = sentences(queue, id: 2)
        while queue.queuedTexts < 48 { await Task.yield() }
        queue.cancel(2)
        await #expect(throws: CancellationError.self) { try await waiting.value }
        queue.cancel(1)
        await #expect(throws: CancellationError.self) { try await begun.value }
        Self.answer(work)
        #expect(queue.next(.sentence) == nil)
        #expect(queue.queuedTexts == 0)
    }

    @Test func aSearchIsAnsweredBeforeTheSentencesThatCameBefore() async throws {
        var options = LocalEmbedderOptions()
        options.queuedSentencesMax = 4_096
        let embedder = try LocalEmbedder(modelDirectory: Model.directory, options: options)
        defer { embedder.stop() }
        let texts = (0..<48).map {
            "Sentence number \($0) of a document about a bridge, which was repainted by two people last week."
        }
        let answers = (0..<12).map { _ in
            Task {
                let vectors = try await embedder.embed(texts, priority: .sentence)
                return (vectors.count, embedder.statistics.queries)
            }
        }
        while embedder.statistics.microBatches == 0 { try await Task.sleep(for: .milliseconds(1)) }
        #expect(try await embedder.embed(["golden gate"], priority: .query).count == 1)
        let done = embedder.statistics.texts
        #expect(done < 12 * 48, "\(done) texts were computed before the query was answered")
        var late = 0
        for answer in answers {
            let (count, queries) = try await answer.value
            #expect(count == 48)
            if queries == 1 { late += 1 }
        }
        #expect(late > 0)
        #expect(embedder.statistics.queries == 1)
        #expect(embedder.statistics.texts == 12 * 48 + 1)
    }
}
