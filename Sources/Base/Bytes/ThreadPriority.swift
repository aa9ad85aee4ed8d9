import Glibc

/// How far a thread stands back where processors are scarce, as Linux keeps it for each thread (sched(7)).
package enum ThreadPriority: Sendable, Equatable {
    /// As everybody.
    case ordinary
    /// Gets a smaller share: at 3 half of what another thread gets, at 5 a third, at 10 a ninth (setpriority(2)). One that is
    /// computing still keeps others waiting for some milliseconds.
    case nice(Int32)
    /// Computes where no other thread wants to, and is interrupted at once by one that does (`SCHED_IDLE`, sched_setscheduler(2)).
    /// Such a thread must not hold what others wait for, such as a lock of a database.
    case idle

    /// SCHED_IDLE of <bits/sched.h>, which Swift's Glibc module lacks.
    private static let idlePolicy: Int32 = 5
    /// The largest that there is.
    private static let nicenessMax: Int32 = 19

    /// Gives the calling thread this priority; threads that it makes have it, too. Standing back is allowed to everyone; where the
    /// system refuses all the same, the thread works as before. Taking a niceness back is allowed to root alone.
    package func take() {
        switch self {
        case .ordinary: return
        case .nice(let niceness): Self.set(niceness)
        case .idle:
            var parameters = sched_param()
            parameters.sched_priority = 0
            // What a system without the policy has instead.
            if sched_setscheduler(0, Self.idlePolicy, &parameters) != 0 { Self.set(Self.nicenessMax) }
        }
    }

    private static func set(_ niceness: Int32) {
        _ = setpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0, niceness)
    }
}
