import Glibc

/// The process' environment.
package enum Environment {
    /// All variables; of doubled names the first counts, as getenv(3) has it.
    package static func variables() -> [String: String] {
        var result: [String: String] = [:]
        var index = 0
        while let entry = environ[index] {
            index += 1
            let text = String(cString: entry)
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else { continue }
            let name = String(text[..<equals])
            if result[name] == nil { result[name] = String(text[text.index(after: equals)...]) }
        }
        return result
    }
}

/// What the system lets this process have.
package enum ProcessLimits {
    /// Raises the number of open files to what the hard limit allows: the usual soft limit of 1,024 would be fewer
    /// connections than API_MAX_CONNECTIONS promises. Nothing here uses select(2), which that limit protects.
    package static func raiseOpenFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        // Where that is refused the old limit stays, and accepting connections pauses at it.
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
