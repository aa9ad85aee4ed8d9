import Testing

@testable import Embeddings

/// Documents of a replay keep no others waiting: they are computed where none wait, micro-batch by micro-batch.
@Suite struct ReplayPriorityTests {
    private let helper = EmbeddingQueueTests()

    private static func answer(_ work: EmbeddingWork) {
        work.round.deliver([[Float]](repeating: [1], count: work.batch.members.count), of: work.batch)
    }

    @Test func documentsGoBetweenTheMicroBatchesOfAReplay() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 1_000, batchWorkers: 2)
        let sequences = [[Int32]](repeating: [Int32](repeating: 7, count: 200), count: 64)
        let replay = helper.job(1, sequences: sequences) { queue.add($0, priority: .replay) }
        while queue.queuedTexts(.replay) < 64 { await Task.yield() }
        #expect(queue.nextForWorker(of: .query) == nil && queue.nextForWorker(of: .sentence) == nil)
        let first = try #require(queue.nextForWorker(of: .batch))
        #expect(first.priority == .replay && first.batch.members.count < 64)
        Self.answer(first)
        // In the middle of the replay's round documents come.
        let documents = helper.submit(queue, id: 2, texts: 2, priority: .batch)
        while queue.queuedTexts(.batch) < 2 { await Task.yield() }
        let second = try #require(queue.nextForWorker(of: .batch))
        #expect(second.priority == .batch && second.batch.members.count == 2)
        Self.answer(second)
        #expect(try await documents.value.count == 2)
        while let work = queue.nextForWorker(of: .batch) {
            #expect(work.priority == .replay)
            Self.answer(work)
        }
        #expect(try await replay.value.count == 64)
    }

    @Test func bothHaveBoundsOfTheirOwn() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 10, batchWorkers: 1)
        let replay = helper.submit(queue, id: 1, texts: 10, priority: .replay)
        while queue.queuedTexts < 10 { await Task.yield() }
        let documents = helper.submit(queue, id: 2, texts: 10, priority: .batch)
        while queue.queuedTexts < 20 { await Task.yield() }
        let refusal = await #expect(throws: EmbeddingError.self) {
            try await helper.submit(queue, id: 3, texts: 1, priority: .replay).value
        }
        #expect(refusal?.kind == .overloaded)
        queue.cancel(1)
        await #expect(throws: CancellationError.self) { try await replay.value }
        queue.stop()
        await #expect(throws: EmbeddingError.stopped) { try await documents.value }
    }
}
