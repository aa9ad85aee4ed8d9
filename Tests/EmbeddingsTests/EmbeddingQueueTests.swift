import Bytes
import Foundation
import Inference
import Synchronization
import Testing

@testable import Embeddings

@Suite struct EmbeddingQueueTests {
    /// Puts a job of `texts` texts into the queue from a task of its own.
    private func submit(
        _ queue: EmbeddingQueue, id: UInt64, texts: Int, priority: EmbeddingPriority
    ) -> Task<[[Float]], any Error> {
        job(id, sequences: [[Int32]](repeating: [101, 102], count: texts)) { queue.add($0, priority: priority) }
    }

    @Test func whatWaitsIsBounded() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 10)
        // Larger than the bound, but nothing waits.
        let first = submit(queue, id: 1, texts: 12, priority: .batch)
        while queue.queuedTexts < 12 { await Task.yield() }
        let second = submit(queue, id: 2, texts: 1, priority: .batch)
        let refusal = await #expect(throws: EmbeddingError.self) { try await second.value }
        #expect(refusal?.kind == .overloaded)
        #expect(refusal?.isRetriable == true)
        // Queries have a bound of their own.
        let third = submit(queue, id: 3, texts: 2, priority: .query)
        while queue.queuedTexts < 14 { await Task.yield() }
        let queries = queue.takeQueries()
        #expect(queries.map(\.id) == [3])
        for query in queries { query.continuation.resume(returning: [[1], [2]]) }
        #expect(try await third.value == [[1], [2]])
        queue.stop()
        await #expect(throws: EmbeddingError.stopped) { try await first.value }
    }

    /// Suspends until `body` was given a continuation and something resumed it.
    private func job(
        _ id: UInt64, sequences: [[Int32]], _ body: @escaping @Sendable (EmbeddingJob) -> Void
    ) -> Task<[[Float]], any Error> {
        Task {
            try await withCheckedThrowingContinuation { continuation in
                body(EmbeddingJob(id: id, sequences: sequences, continuation: continuation))
            }
        }
    }

    @Test func aQueryThatArrivesDuringABatchOvertakesIt() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 1000)
        let worker = EmbeddingWorker(model: try EmbeddingModel(path: Model.directory + "/model.xml"), queue: queue)
        let long = [Int32](repeating: 2000, count: 200)
        let batch = job(1, sequences: [[Int32]](repeating: long, count: 200)) { queue.add($0, priority: .batch) }
        let query = Mutex<EmbeddingJob?>(nil)
        let answer = job(2, sequences: [[101, 2000, 102]]) { job in query.withLock { $0 = job } }
        while queue.queuedTexts < 200 || query.withLock({ $0 == nil }) { await Task.yield() }
        try worker.start()
        // A thread of its own, because other tests may keep every thread of the pool busy.
        let textsDoneBefore = Mutex(Int.max)
        let thread = Thread {
            while worker.statistics.microBatches == 0 { usleep(100) }
            if let job = query.withLock({ $0 }) { queue.add(job, priority: .query) }
            while worker.statistics.queries == 0 { usleep(100) }
            let done = worker.statistics.texts
            textsDoneBefore.withLock { $0 = done }
        }
        thread.start()
        #expect(try await answer.value.count == 1)
        #expect(try await batch.value.count == 200)
        while textsDoneBefore.withLock({ $0 }) == .max { await Task.yield() }
        #expect(textsDoneBefore.withLock { $0 } < 201)
        queue.stop()
        worker.join(timeoutSeconds: 10)
    }

    @Test func aCancelledJobLeavesTheQueue() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 10)
        let job = submit(queue, id: 7, texts: 3, priority: .batch)
        while queue.queuedTexts < 3 { await Task.yield() }
        queue.cancel(7)
        queue.cancel(7)
        await #expect(throws: CancellationError.self) { try await job.value }
        #expect(queue.queuedTexts == 0)
        #expect(queue.takeBatches(textsMax: 100).isEmpty)
    }
}

@Suite struct MicroBatchTests {
    @Test func everyTextIsPlannedOnceAndFits() {
        let seed: UInt64 = 23
        var random = SeededGenerator(seed: seed)
        var shapes: Set<[Int]> = []
        for _ in 0..<300 {
            let lengths = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                Int.random(in: 2...256, using: &random)
            }
            let plan = MicroBatch.plan(lengths: lengths)
            #expect(plan.flatMap(\.members).sorted() == Array(lengths.indices))
            for batch in plan {
                #expect(batch.members.allSatisfy { lengths[$0] <= batch.length })
                #expect(batch.members.count * batch.length <= MicroBatch.tokensMax)
                #expect(batch.members.count.nonzeroBitCount == 1)
                shapes.insert([batch.members.count, batch.length])
            }
        }
        // Each shape costs memory that OpenVINO keeps.
        #expect(shapes.count <= 100)
    }

    @Test func paddingIsBounded() {
        for length in 33...512 {
            let padded = MicroBatch.paddedLength(length)
            #expect(padded >= length && padded - length <= max(7, length / 4))
        }
    }
}
