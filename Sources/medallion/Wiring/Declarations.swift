import Concurrency
import Console
import Health
import ServiceLifecycle
import Sources
import Synchronization
import Telemetry

/// The declared sources of this process, read again on SIGHUP.
///
/// A file that cannot be used changes nothing: what ran runs on, and the fault is in the log, in `/health` and in a metric until a good
/// one is read. Drained means: nothing is being read.
final class Declarations: Service {
    let name = "declarations"
    private let platform: Platform
    /// What this run makes of what is declared, such as one source alone.
    private let choose: @Sendable (DeclaredSources, _ isStart: Bool) throws -> DeclaredSources
    private let state: Mutex<State>
    private let bell: (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)
    private let reloads: Counter
    private let failures: Counter

    private struct State {
        var current: DeclaredSources
        /// What was wrong with the last file; nil where it is the one that runs.
        var fault: String?
        var health: HealthRegistry?
        var followers: [@Sendable (DeclaredSources) -> Void] = []
    }

    /// Reads the declarations for the first time. From now on SIGHUP does not end this process.
    ///
    /// - Parameter choose: what this run makes of what is declared, told whether that is read for the first time.
    /// - Throws: as ``DeclaredSources/read(_:file:)``, and what `choose` throws.
    init(
        _ platform: Platform,
        choose: @escaping @Sendable (DeclaredSources, _ isStart: Bool) throws -> DeclaredSources = { declared, _ in
            declared
        }
    ) throws {
        ReloadRequests.catchSignal()
        self.platform = platform
        self.choose = choose
        let first = try choose(DeclaredSources.read(platform.settings), true)
        state = Mutex(State(current: first))
        let (stream, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        bell = (stream, ring)
        reloads = platform.context.metrics.counter(
            "medallion_sources_reloads_total", help: "How often the declared sources were read again and taken over.")
        failures = platform.context.metrics.counter(
            "medallion_sources_reload_failures_total",
            help: "How often the declared sources were read again and could not be used; the old ones stay.")
    }

    /// What is declared now.
    var current: DeclaredSources { state.withLock { $0.current } }

    /// Calls `body` after every reload that changed something.
    func follow(_ body: @escaping @Sendable (DeclaredSources) -> Void) {
        state.withLock { $0.followers.append(body) }
    }

    /// Shows in `/health` whether the last reload succeeded: from the first one on, or always where there is a file.
    func register(in health: HealthRegistry) {
        state.withLock { $0.health = health }
        if current.isFile { show() }
    }

    private func show() {
        guard let health = state.withLock({ $0.health }) else { return }
        health.register("declarations", isRequired: false) { [self] in
            let (current, fault) = state.withLock { ($0.current, $0.fault) }
            let detail = [(name: "count", value: "\(current.sources.count)"), ("file", current.file ?? "")]
            return fault.map { HealthReport(.degraded, $0, detail: detail) } ?? HealthReport(.ok, detail: detail)
        }
    }

    func run(stop: StopSignal) async throws {
        let logger = platform.context.logger.scoped("sources")
        let lane = Lane(name: "declarations")
        ReloadRequests.listen { [bell] in bell.ring.yield() }
        defer { ReloadRequests.listen(nil) }
        let stopped = Task { [bell] in
            await stop.wait()
            bell.ring.finish()
        }
        defer { stopped.cancel() }
        for await _ in bell.stream {
            do {
                let next = try await lane.run { [self] in
                    let next = try choose(DeclaredSources.read(platform.settings), false)
                    try Self.check(next, after: current)
                    return next
                }
                take(next, logger)
            } catch {
                failures.increment()
                state.withLock {
                    $0.fault = "the declared sources could not be read again; the old ones stay: \(error)"
                }
                show()
                logger.error("the declared sources cannot be used; the old ones stay", ["error": "\(error)"])
            }
        }
    }

    private func take(_ next: DeclaredSources, _ logger: Logger) {
        reloads.increment()
        defer { show() }
        let (before, followers) = state.withLock { state in
            let before = state.current
            state.current = next
            state.fault = nil
            return (before, state.followers)
        }
        func names(_ sources: [SourceDeclaration]) -> String { sources.map(\.name.text).joined(separator: ", ") }
        let old = Dictionary(before.sources.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let new = Set(next.sources.map(\.name))
        logger.info(
            "the declared sources were read again",
            [
                "added": names(next.sources.filter { old[$0.name] == nil }),
                "changed": names(next.sources.filter { source in old[source.name].map { $0 != source } ?? false }),
                "removed": names(before.sources.filter { !new.contains($0.name) }),
            ])
        if before != next { for follower in followers { follower(next) } }
    }

    /// What a reload may not change: lake, offsets and index of a source hang on its topics, its tenant and its collection.
    /// So it is for a source of another name on a topic that runs. And a file that is gone may be in the midst of being replaced.
    static func check(_ next: DeclaredSources, after old: DeclaredSources) throws {
        if let file = old.file, !next.isFile {
            throw Failure(
                "\(file) is gone; put it back, or restart to go back to the source of the environment", code: .usage)
        }
        let known = Dictionary(old.sources.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let onTopic = Dictionary(old.sources.map { ($0.topic, $0) }, uniquingKeysWith: { first, _ in first })
        var faults: [DeclarationFault] = []
        for (number, source) in next.sources.enumerated() {
            guard let before = known[source.name] ?? onTopic[source.topic] else { continue }
            let isKnown = before.name == source.name
            let members = [
                ("topic", before.topic, source.topic), ("gold_topic", before.goldTopic, source.goldTopic),
                ("tenant", before.tenant.text, source.tenant.text),
                ("collection", before.collection.name.text, source.collection.name.text),
            ]
            for (member, old, new) in members where old != new {
                faults.append(
                    DeclarationFault(
                        place: "sources[\(number)].\(member)",
                        reason:
                            isKnown
                            ? "is \(new), but \(source.name) runs with \(old); give the source another name and another "
                                + "topic, or restart"
                            : "is \(new), but the topic \(source.topic) runs with \(old); keep that, or restart"))
            }
        }
        guard faults.isEmpty else { throw DeclarationError(file: next.file ?? "the environment", faults: faults) }
    }
}
