/// Something that runs until it is told to stop.
package protocol Service: Sendable {
    /// A short name for logs, such as `broker`.
    var name: String { get }

    /// Whether the whole group stops when this service returns by itself; false unless the service says otherwise.
    var endsGroup: Bool { get }

    /// Gets ready (binds a port, waits for a child process); the next service starts after it returned. Does nothing
    /// unless the service says otherwise. Should end soon after `stop` is requested.
    ///
    /// - Throws: what makes a start pointless; the group then stops what was started and throws it.
    func prepare(stop: StopSignal) async throws

    /// Runs, and returns when drained after `stop` was requested. A service documents what "drained" means for it.
    ///
    /// - Throws: what it cannot recover from; the group then stops the others and throws it.
    func run(stop: StopSignal) async throws
}

extension Service {
    package var endsGroup: Bool { false }
    package func prepare(stop: StopSignal) async throws {}
}

/// A service out of closures, for small ones and for tests.
package struct ClosureService: Service {
    package let name: String
    package let endsGroup: Bool
    private let prepareBody: @Sendable (StopSignal) async throws -> Void
    private let runBody: @Sendable (StopSignal) async throws -> Void

    /// - Parameter run: see ``Service/run(stop:)``.
    package init(
        name: String, endsGroup: Bool = false,
        prepare: @escaping @Sendable (StopSignal) async throws -> Void = { _ in },
        run: @escaping @Sendable (StopSignal) async throws -> Void
    ) {
        self.name = name
        self.endsGroup = endsGroup
        prepareBody = prepare
        runBody = run
    }

    package func prepare(stop: StopSignal) async throws { try await prepareBody(stop) }
    package func run(stop: StopSignal) async throws { try await runBody(stop) }
}

/// How a process ends; the first two are those of sysexits.h.
package enum ExitCode: Int32, Sendable {
    case success = 0
    /// The work itself failed.
    case failure = 1
    /// Wrong arguments or settings (EX_USAGE).
    case usage = 64
    /// Something we depend on cannot be reached (EX_UNAVAILABLE).
    case dependencyUnavailable = 69
}
