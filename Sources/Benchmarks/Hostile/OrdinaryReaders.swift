import Synchronization

/// Two readers of `GET /stream` that read as fast as it comes.
final class OrdinaryReaders: Sendable {
    /// What came of them.
    struct Results: Sendable {
        /// At each, on average.
        var events = 0.0
        /// Readers that were refused or cut.
        var cut = 0
    }

    private static let count = 2
    private let results = Mutex(Results())
    private let crew = Crew()
    private let seconds: Int

    /// Starts; ends by itself after so long.
    init(port: UInt16, seconds: Int) throws {
        self.seconds = seconds
        try crew.add("readers") { [self] in
            let readers = StreamReaders()
            do {
                try readers.add(Self.count, port: port)
            } catch {
                return results.withLock { $0.cut = Self.count }
            }
            let events = readers.read(milliseconds: seconds * 1_000)
            // A refusal is a reply, and then the end.
            let cut = readers.overCount
            results.withLock { $0 = Results(events: Double(events) / Double(Self.count), cut: cut) }
        }
    }

    func wait() throws -> Results {
        try crew.wait(seconds: seconds + 30)
        return results.withLock { $0 }
    }
}
