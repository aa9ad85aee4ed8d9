import Bytes
import Foundation
import Inference
import Synchronization
import Testing

@testable import Embeddings

@Suite struct EmbeddingQueueTests {
    /// Puts a job of `texts` texts into the queue from a task of its own.
    func submit(
        _ queue: EmbeddingQueue, id: UInt64, texts: Int, priority: EmbeddingPriority
    ) -> Task<[[Float]], any Error> {
        job(id, sequences: [[Int32]](repeating: [101, 102], count: texts)) { queue.add($0, priority: priority) }
    }

    @Test func whatWaitsIsBounded() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 10, batchWorkers: 1)
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
        let work = try #require(queue.next(.query))
        #expect(work.round.sequences(of: work.batch).count == 2)
        #expect(queue.queuedTexts == 13 - 1)
        work.round.deliver([[1], [2]], of: work.batch)
        #expect(queue.next(.query) == nil)
        #expect(try await third.value == [[1], [2]])
        queue.stop()
        await #expect(throws: EmbeddingError.stopped) { try await first.value }
    }

    /// Suspends until `body` was given a continuation and something resumed it.
    func job(
        _ id: UInt64, sequences: [[Int32]], _ body: @escaping @Sendable (EmbeddingJob) -> Void
    ) -> Task<[[Float]], any Error> {
        Task {
            try await withCheckedThrowingContinuation { continuation in
                body(EmbeddingJob(id: id, sequences: sequences, continuation: continuation))
            }
        }
    }

    @Test func aQueryThatArrivesDuringABatchOvertakesIt() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 1000, batchWorkers: 2)
        let path = Model.directory + "/model.xml"
        let forQueries = try EmbeddingModel(path: path)
        let forBatches = try EmbeddingModel(path: path, parallelism: .throughput(requests: 2))
        let queryWorker = EmbeddingWorker(request: try forQueries.makeRequest(), priority: .query, queue: queue)
        let batchWorkers = try (0..<2).map { _ in
            EmbeddingWorker(request: try forBatches.makeRequest(), priority: .batch, queue: queue)
        }
        let long = [Int32](repeating: 2000, count: 200)
        // Some micro-batches for either worker.
        let count = 240
        let batch = job(1, sequences: [[Int32]](repeating: long, count: count)) { queue.add($0, priority: .batch) }
        let query = Mutex<EmbeddingJob?>(nil)
        let answer = job(2, sequences: [[101, 2000, 102]]) { job in query.withLock { $0 = job } }
        while queue.queuedTexts < count || query.withLock({ $0 == nil }) { await Task.yield() }
        for worker in batchWorkers + [queryWorker] { try worker.start() }
        let batchTexts = { @Sendable in batchWorkers.reduce(0) { $0 + $1.statistics.texts } }
        // A thread of its own, because other tests may keep every thread of the pool busy.
        let textsDoneBefore = Mutex(Int.max)
        let thread = Thread {
            while batchTexts() == 0 { usleep(100) }
            if let job = query.withLock({ $0 }) { queue.add(job, priority: .query) }
            while queryWorker.statistics.queries == 0 { usleep(100) }
            let done = batchTexts()
            textsDoneBefore.withLock { $0 = done }
        }
        thread.start()
        #expect(try await answer.value.count == 1)
        #expect(try await batch.value.count == count)
        while textsDoneBefore.withLock({ $0 }) == .max { await Task.yield() }
        #expect(textsDoneBefore.withLock { $0 } < count)
        // Both workers had a share, and together computed every text once.
        #expect(batchWorkers.allSatisfy { $0.statistics.texts > 0 })
        #expect(batchTexts() == count)
        queue.stop()
        for worker in batchWorkers + [queryWorker] { worker.join(timeoutSeconds: 10) }
    }

    /// The matrices are read once for all; few enough that the first of them need not wait long for the last.
    @Test func queriesThatWaitAreComputedTogetherByEights() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 20, batchTextsMax: 10, batchWorkers: 1)
        let query = [Int32](repeating: 2000, count: 12)
        let tasks = (0..<9).map { number in
            job(UInt64(number), sequences: [query]) { queue.add($0, priority: .query) }
        }
        while queue.queuedTexts < 9 { await Task.yield() }
        var sizes: [Int] = []
        while let work = queue.next(.query) {
            sizes.append(work.batch.members.count)
            work.round.deliver([[Float]](repeating: [1], count: work.batch.members.count), of: work.batch)
        }
        #expect(sizes == [8, 1])
        for task in tasks { #expect(try await task.value == [[1]]) }
    }

    @Test func aStopAnswersWhatIsHalfComputed() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 1000, batchWorkers: 1)
        let job = job(1, sequences: [[Int32]](repeating: [Int32](repeating: 7, count: 100), count: 8)) {
            queue.add($0, priority: .batch)
        }
        while queue.queuedTexts < 8 { await Task.yield() }
        let work = try #require(queue.next(.batch))
        #expect(work.batch.members.count < 8)
        queue.stop()
        await #expect(throws: EmbeddingError.stopped) { try await job.value }
        // The micro-batch that was under way comes too late, and answers nobody a second time.
        work.round.deliver([[Float]](repeating: [1], count: work.batch.members.count), of: work.batch)
        #expect(queue.next(.batch) == nil)
    }

    @Test func aCancelledJobLeavesTheQueue() async throws {
        let queue = EmbeddingQueue(queryTextsMax: 4, batchTextsMax: 10, batchWorkers: 1)
        let job = submit(queue, id: 7, texts: 3, priority: .batch)
        while queue.queuedTexts < 3 { await Task.yield() }
        queue.cancel(7)
        queue.cancel(7)
        await #expect(throws: CancellationError.self) { try await job.value }
        #expect(queue.queuedTexts == 0)
        #expect(queue.next(.batch) == nil)
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

    @Test func shortQueriesAreHardlyPadded() {
        let seed: UInt64 = 29
        var random = SeededGenerator(seed: seed)
        var shapes: Set<[Int]> = []
        for _ in 0..<2_000 {
            let lengths = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                Int.random(in: 3...64, using: &random)
            }
            let plan = MicroBatch.plan(lengths: lengths, tokensMax: MicroBatch.queryTokensMax, isExact: true)
            #expect(plan.flatMap(\.members).sorted() == Array(lengths.indices))
            for batch in plan {
                let longest = batch.members.map { lengths[$0] }.max() ?? 0
                #expect(batch.length == (longest <= 16 ? longest : MicroBatch.paddedLength(longest)))
                #expect(batch.members.count * batch.length <= MicroBatch.queryTokensMax)
                shapes.insert([batch.members.count, batch.length])
            }
        }
        #expect(shapes.count <= 160)
        let plan = MicroBatch.plan(lengths: [9, 8, 9, 10, 8], tokensMax: MicroBatch.queryTokensMax, isExact: true)
        #expect(plan == [MicroBatch(members: [3, 0, 2, 1, 4], length: 10)])
    }

    @Test func paddingIsBounded() {
        for length in 33...512 {
            let padded = MicroBatch.paddedLength(length)
            #expect(padded >= length && padded - length <= max(7, length / 4))
        }
    }
}
