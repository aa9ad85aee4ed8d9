import Dispatch
import Glibc

/// Calls of librdkafka that wait for its threads to end, with a limit.
///
/// Those of version 2.0.2, which Debian 12 has, may not end at all: after a topic partition's leader went away and came back, a
/// reference to it leaks, and the end of the consumer waits for it (confluentinc/librdkafka, issue 4674). A reader replaces its
/// client whenever it skips a place that it cannot read, and must not hang there. A call that has not ended in time is left to a
/// thread of its own.
enum BoundedEnd {
    /// An end takes some milliseconds as a rule, and a second where a broker's connection is being made.
    static let millisecondsMax = 10_000

    /// - Returns: whether `body` has ended within the time.
    static func run(millisecondsMax: Int = millisecondsMax, _ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Body(run: body))
        let end = box.takeUnretainedValue().end
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                body.run()
                body.end.signal()
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            // Without a thread there is no limit, but the client ends.
            box.takeRetainedValue().run()
            return true
        }
        pthread_detach(thread)
        return end.wait(timeout: .now() + .milliseconds(millisecondsMax)) == .success
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        let end = DispatchSemaphore(value: 0)

        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
