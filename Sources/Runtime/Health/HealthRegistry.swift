import Bytes
import Concurrency
package import ServiceLifecycle
import Synchronization

/// How a dependency is.
package enum HealthState: String, Sendable {
    case ok
    /// It works, but not as it should (slow, behind, in part).
    case degraded
    case failed
    /// Nothing is known yet, or not any more.
    case unknown
}

/// What one look at a dependency came to.
package struct HealthReport: Sendable {
    package var state: HealthState
    /// What is wrong and what to do; or a version, a count.
    package var message: String
    /// Figures and names, for people.
    package var detail: [(name: String, value: String)]

    package init(_ state: HealthState, _ message: String = "", detail: [(name: String, value: String)] = []) {
        self.state = state
        self.message = message
        self.detail = detail
    }
}

/// The state of every dependency, for `/health`.
///
/// Checks run in the background, so that `/health` answers at once even when a dependency hangs. A check whose last
/// result is older than ``staleMilliseconds`` counts as `unknown`: a green light that nobody looks after is none.
package final class HealthRegistry: Sendable {
    /// A named check.
    package struct Entry: Sendable {
        package var name: String
        /// Whether this process cannot do its work without it.
        package var isRequired: Bool
        var check: (@Sendable () async throws -> HealthReport)?
        /// What the last look came to; nil before it.
        package var last: HealthReport?
        /// Milliseconds since 1970.
        package var checkedAtMilliseconds: Int64?
        /// Milliseconds since 1970.
        package var lastOkAtMilliseconds: Int64?
        package var latencyNanoseconds: Int64?
        /// Monotonic, for staleness.
        var checkedAtNanoseconds: Int64?

        /// Its state; `unknown` before the first look.
        package var state: HealthState { last?.state ?? .unknown }
    }

    /// Results older than this are not believed.
    package static let staleMilliseconds = 15_000
    /// Pause between rounds of checks.
    package static let intervalMilliseconds = 2_000
    /// One check may take so long.
    package static let checkLimitMilliseconds = 5_000

    private let entries = Mutex<[Entry]>([])

    package init() {}

    /// Adds a check that ``run(stop:)`` repeats.
    ///
    /// - Parameters:
    ///   - name: as it shows, such as `postgres`; a second one replaces the first.
    ///   - isRequired: whether its failure makes `/health` and `/ready` answer 503.
    ///   - check: looks at the dependency; throwing counts as `failed` with the error's description.
    package func register(
        _ name: String, isRequired: Bool, check: @escaping @Sendable () async throws -> HealthReport
    ) {
        entries.withLock { entries in
            let entry = Entry(name: name, isRequired: isRequired, check: check)
            if let place = entries.firstIndex(where: { $0.name == name }) {
                entries[place] = entry
            } else {
                entries.append(entry)
            }
        }
    }

    /// Takes note of a part that will register itself once it is there: until then it counts as `unknown`, so that a
    /// process is not ready before its parts are.
    package func expect(_ name: String, isRequired: Bool) {
        entries.withLock { entries in
            guard !entries.contains(where: { $0.name == name }) else { return }
            entries.append(Entry(name: name, isRequired: isRequired, check: nil))
        }
    }

    /// Changes whether this process cannot do its work without a component; does nothing where there is none of that name.
    package func require(_ name: String, _ isRequired: Bool) {
        entries.withLock { entries in
            guard let place = entries.firstIndex(where: { $0.name == name }) else { return }
            entries[place].isRequired = isRequired
        }
    }

    /// Takes a component away that is not this process' any more.
    package func remove(_ name: String) {
        entries.withLock { $0.removeAll { $0.name == name } }
    }

    /// Notes what a component knows about its dependency anyway, without a check.
    package func report(
        _ name: String, isRequired: Bool = false, _ report: HealthReport, latencyNanoseconds: Int64? = nil
    ) {
        let (wall, monotonic) = (SystemClock.epochMilliseconds(), SystemClock.monotonicNanoseconds())
        entries.withLock { entries in
            let place: Int
            if let known = entries.firstIndex(where: { $0.name == name }) {
                place = known
            } else {
                place = entries.count
                entries.append(Entry(name: name, isRequired: isRequired, check: nil))
            }
            entries[place].last = report
            entries[place].checkedAtMilliseconds = wall
            entries[place].checkedAtNanoseconds = monotonic
            entries[place].latencyNanoseconds = latencyNanoseconds
            if report.state == .ok { entries[place].lastOkAtMilliseconds = wall }
        }
    }

    /// Repeats all checks until stopped. Drained means: no check is being started.
    package func run(stop: StopSignal) async {
        while !stop.isRequested {
            await checkAll()
            if await stop.pause(milliseconds: Self.intervalMilliseconds) { return }
        }
    }

    /// Runs every check once, side by side.
    package func checkAll() async {
        let checks = entries.withLock { entries in
            entries.compactMap { entry in entry.check.map { (entry.name, entry.isRequired, $0) } }
        }
        await withTaskGroup(of: Void.self) { group in
            for (name, isRequired, check) in checks {
                group.addTask { [self] in
                    let start = SystemClock.monotonicNanoseconds()
                    let result: HealthReport
                    do {
                        let limit = Self.checkLimitMilliseconds
                        result = try await withTimeLimit(
                            milliseconds: limit, timeout: { CheckTimeout(name: name, milliseconds: limit) }, check)
                    } catch {
                        result = HealthReport(.failed, "\(error)")
                    }
                    // It may have been taken away meanwhile.
                    guard isRegistered(name) else { return }
                    report(
                        name, isRequired: isRequired, result,
                        latencyNanoseconds: SystemClock.monotonicNanoseconds() - start)
                }
            }
        }
    }

    private func isRegistered(_ name: String) -> Bool {
        entries.withLock { entries in entries.contains { $0.name == name } }
    }

    /// The entries now, old results already made `unknown`.
    package func snapshot() -> [Entry] {
        let now = SystemClock.monotonicNanoseconds()
        return entries.withLock { $0 }.map { entry in
            var entry = entry
            if let checked = entry.checkedAtNanoseconds, now - checked > Int64(Self.staleMilliseconds) * 1_000_000 {
                let seconds = (now - checked) / 1_000_000_000
                entry.last = HealthReport(
                    .unknown, "last looked at \(seconds) s ago; then: \(entry.last?.message ?? "")",
                    detail: entry.last?.detail ?? [])
            }
            return entry
        }
    }

    /// All entries as one state: `failed` when a required one failed, `degraded` when any is not ok.
    package static func overall(_ entries: [Entry]) -> HealthState {
        if entries.contains(where: { $0.isRequired && $0.state == .failed }) { return .failed }
        if entries.contains(where: { $0.state != .ok }) { return .degraded }
        return .ok
    }
}

/// A check that did not end in time.
struct CheckTimeout: Error, CustomStringConvertible {
    let name: String
    let milliseconds: Int
    var description: String { "the check of \(name) took more than \(milliseconds) ms" }
}
