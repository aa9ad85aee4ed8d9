import Concurrency
import Glibc
import Synchronization
import Testing

private struct TooLate: Error {}

/// A value that several threads change.
private final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) { state = Mutex(value) }

    var value: Value { state.withLock { $0 } }

    func change<R: Sendable>(_ body: (inout Value) -> R) -> R { state.withLock { body(&$0) } }
}

/// Waits that are ended by an alarm.
@Suite struct TimeLimitTests {
    /// Waits until it is cancelled.
    private static func forever() async throws -> Int {
        try await Task.sleep(for: .seconds(3_600))
        return 1
    }

    private static func limited(
        _ milliseconds: Int, isLight: Bool, _ body: @escaping @Sendable () async throws -> Int
    ) async throws -> Int {
        try await withTimeLimit(milliseconds: milliseconds, timeout: { TooLate() }, isLight: isLight, body)
    }

    @Test(arguments: [false, true])
    func whatIsInTimeIsReturned(isLight: Bool) async throws {
        for number in 0..<100 {
            let found = try await Self.limited(60_000, isLight: isLight) {
                if number % 2 == 0 { await Task.yield() }
                return number
            }
            #expect(found == number)
        }
        await #expect(throws: TooLate.self) {
            try await Self.limited(60_000, isLight: isLight) { throw TooLate() }
        }
    }

    @Test(arguments: [false, true])
    func aLimitEndsAWaitAndItsWork(isLight: Bool) async throws {
        let wasCancelled = Shared(false)
        await #expect(throws: TooLate.self) {
            try await Self.limited(20, isLight: isLight) {
                do { return try await Self.forever() } catch {
                    wasCancelled.change { $0 = error is CancellationError }
                    throw error
                }
            }
        }
        // Who waited goes on at once; the work ends when it notices.
        for _ in 0..<10_000 where !wasCancelled.value { try await Task.sleep(for: .milliseconds(1)) }
        #expect(wasCancelled.value)
    }

    @Test(arguments: [false, true])
    func aCancelledTaskWaitsNoLonger(isLight: Bool) async throws {
        let task = Task { try await Self.limited(3_600_000, isLight: isLight) { try await Self.forever() } }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    /// A light body goes on where its wait is ended, and wakes no other thread. Where the lane is done before the body waits at all,
    /// it goes on where it is: on a busy machine that happens now and then.
    @Test func aLightBodyStaysOnTheThreadThatResumesIt() async throws {
        let lane = Lane(name: "resumer")
        let names = Shared<[String]>([])
        for _ in 0..<100 where names.value.last != "resumer" {
            let found = try await Self.limited(60_000, isLight: true) {
                let value = try await lane.run { 7 }
                names.change { $0.append(Self.threadName()) }
                return value
            }
            #expect(found == 7)
        }
        #expect(names.value.last == "resumer", "\(names.value)")
    }

    /// A light body goes on after it was cancelled, but not within the call that cancels it: it may wait again there.
    @Test func aCancelledLightBodyLeavesTheThreadThatCancelsIt() async throws {
        let canceller = Lane(name: "canceller")
        let names = Shared<[String]>([])
        let body: @Sendable () async throws -> Int = {
            do { return try await Self.forever() } catch {}
            names.change { $0.append(Self.threadName()) }
            // At once, since the task is cancelled.
            do { return try await Self.forever() } catch {}
            await Task.yield()
            names.change { $0.append("end") }
            return 2
        }
        for _ in 0..<2_000 {
            let waiting = Task { try await Self.limited(3_600_000, isLight: true, body) }
            try await canceller.run { waiting.cancel() }
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
        for _ in 0..<500 {
            await #expect(throws: TooLate.self) { try await Self.limited(1, isLight: true, body) }
        }
        // Who waited went on before.
        for _ in 0..<10_000 where names.value.count < 5_000 { try await Task.sleep(for: .milliseconds(1)) }
        let counted = Dictionary(names.value.map { ($0, 1) }, uniquingKeysWith: +)
        #expect(counted["end"] == 2_500)
        #expect(counted["canceller"] == nil && counted["alarms"] == nil, "\(counted)")
    }

    private static func threadName() -> String {
        var bytes = [UInt8](repeating: 0, count: 64)
        let descriptor = open("/proc/thread-self/comm", O_RDONLY)
        defer { close(descriptor) }
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count - 1)], as: UTF8.self)
    }

    @Test func alarmsRingInTheirOrderUnlessCalledOff() async throws {
        let alarms = Alarms()
        let rung = Shared<[Int]>([])
        await withCheckedContinuation { continuation in
            let last = alarms.set(milliseconds: 120) {
                rung.change { $0.append(3) }
                continuation.resume()
            }
            let off = alarms.set(milliseconds: 3_600_000) { rung.change { $0.append(2) } }
            // Sooner than what the thread sleeps for.
            let first = alarms.set(milliseconds: 1) { rung.change { $0.append(1) } }
            #expect(last != nil && first != nil)
            if let off { alarms.cancel(off) }
        }
        #expect(rung.value == [1, 3])
        #expect(alarms.waiting == 0)
    }

    @Test func anAlarmMayBeAsFarAwayAsNumbersGo() async throws {
        let alarms = Alarms()
        for milliseconds in [Int.max, Int.max / 1_000_000, Int.min] {
            let alarm = try #require(alarms.set(milliseconds: milliseconds) {})
            alarms.cancel(alarm)
        }
        #expect(try await Self.limited(.max, isLight: true) { 5 } == 5)
    }
}
