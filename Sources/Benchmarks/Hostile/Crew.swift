import Bytes
import Concurrency
import Console
import ServiceLifecycle
import Synchronization

/// Threads that are waited for.
final class Crew: Sendable {
    private let state = Mutex(State())

    private struct State {
        var running = 0
        var fault: String?
    }

    /// - Throws: ``Failure`` where the machine has no thread left.
    func add(_ name: String, _ body: @escaping @Sendable () throws -> Void) throws {
        state.withLock { $0.running += 1 }
        let isStarted = Threads.start(name: name) { [self] in
            do {
                try body()
            } catch {
                state.withLock { $0.fault = $0.fault ?? "\(name): \(error)" }
            }
            state.withLock { $0.running -= 1 }
        }
        guard isStarted else { throw Failure("no thread for \(name)") }
    }

    /// Blocks until all have ended.
    ///
    /// - Throws: the first fault, or ``Failure`` where it takes longer.
    func wait(seconds: Int) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        while true {
            let (running, fault) = state.withLock { ($0.running, $0.fault) }
            if let fault { throw Failure(fault) }
            if running == 0 { return }
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw Failure("\(running) threads of the benchmark did not end within \(seconds) s")
            }
            Pause.milliseconds(20)
        }
    }
}
