/// Which errors mean that something we depend on cannot be reached (exit code 69).
enum Dependencies {
    static func isUnavailable(_ error: any Error) -> Bool {
        false
    }
}
