import Concurrency
import Glibc

/// Lets the server's processes that do heavy work behind the scenes stand back where processors are scarce.
///
/// An index build takes all processors there are, for minutes; with the same right as everybody, beside it a new document takes
/// seconds to be found. Postgres has no setting for that, so processes are told apart by their titles (`update_process_title`),
/// which need no connection, and get a niceness of Linux (setpriority(2)).
struct MaintenancePriority {
    /// A ninth of the share that others get (sched(7): 110 against 1,024): work that holds a lock still gets on.
    static let niceness: Int32 = 10
    static let intervalMilliseconds = 500

    /// What a process of the server does.
    enum Work: Equatable {
        /// Whatever somebody may wait for.
        case ordinary
        /// Maintenance by a process that ends with it.
        case passing
        /// Maintenance by a session that goes on with something else afterwards.
        case session
    }

    /// Whether a niceness can be taken back, which Linux lets nobody but root do.
    private let isRestoring: Bool
    /// Sessions that stand back for now.
    private var standingBack: Set<pid_t> = []

    init(isRestoring: Bool = geteuid() == 0) { self.isRestoring = isRestoring }

    /// Looks at the processes once. One that has ended meanwhile is passed by.
    mutating func look(at processes: [pid_t]) {
        standingBack.formIntersection(processes)
        for process in processes {
            switch Self.work(title: ServerProcesses.title(process)) {
            case .passing: Self.set(process, Self.niceness)
            case .session where isRestoring && !standingBack.contains(process):
                standingBack.insert(process)
                Self.set(process, Self.niceness)
            case .ordinary where standingBack.contains(process):
                standingBack.remove(process)
                Self.set(process, 0)
            case .session, .ordinary: break
            }
        }
    }

    /// By the title that Postgres gives a process (ps_status.c): `postgres: USER DATABASE HOST ACTIVITY` of a session, whose activity is
    /// the tag of the command (cmdtaglist.h).
    ///
    /// Parallel workers help builds and vacuums alone, since queries get none (`max_parallel_workers_per_gather=0`).
    static func work(title: String) -> Work {
        guard title.hasPrefix("postgres: ") else { return .ordinary }
        let body = title.dropFirst("postgres: ".count)
        if body.hasPrefix("autovacuum worker") || body.hasPrefix("parallel worker") { return .passing }
        let words = body.split(separator: " ", maxSplits: 3)
        guard words.count == 4 else { return .ordinary }
        let isMaintenance = ["CREATE INDEX", "REINDEX", "VACUUM", "CLUSTER"].contains { words[3].hasPrefix($0) }
        return isMaintenance ? .session : .ordinary
    }

    private static func set(_ process: pid_t, _ niceness: Int32) {
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(process), niceness)
    }
}
