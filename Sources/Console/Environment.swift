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
