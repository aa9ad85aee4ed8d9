import Foundation

/// The exceptions to the rules, each with its reason, in waivers.txt: `rule | path | reason` per line.
struct Waivers {
    struct Waiver: Hashable {
        let rule: String
        let path: String
    }

    let reasons: [Waiver: String]
    /// Lines that are not of the form.
    let malformed: [String]

    static func load() throws -> Waivers {
        var reasons: [Waiver: String] = [:]
        var malformed: [String] = []
        for line in try Repository.text("Tests/TidyTests/waivers.txt").split(separator: "\n") where !line.hasPrefix("#")
        {
            let parts = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            if parts.count == 3, parts[2].count >= 15 {
                reasons[Waiver(rule: parts[0], path: parts[1])] = parts[2]
            } else {
                malformed.append(String(line))
            }
        }
        return Waivers(reasons: reasons, malformed: malformed)
    }

    func covers(_ finding: Finding) -> Bool {
        reasons[Waiver(rule: finding.rule, path: finding.path)] != nil
    }
}

/// A place where a rule is broken.
struct Finding: CustomStringConvertible {
    let rule: String
    let path: String
    /// Counted from 1.
    let line: Int
    let message: String

    var description: String { "\(path):\(line): [\(rule)] \(message)" }
}
