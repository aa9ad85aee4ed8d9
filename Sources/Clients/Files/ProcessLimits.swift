import Glibc

/// What the system lets this process have.
package enum ProcessLimits {
    /// Raises the number of open files to what the hard limit allows: a log has one open file, a connection another, and the
    /// usual soft limit of 1,024 is fewer than API_MAX_CONNECTIONS promises. Nothing here uses select(2), which that limit
    /// protects.
    package static func raiseOpenFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        // Where that is refused the old limit stays, and accepting connections pauses at it.
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
