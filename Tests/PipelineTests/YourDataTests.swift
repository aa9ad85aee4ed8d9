import Files
import Glibc
import PlatformTesting
import Synchronization
import Testing

/// docs/your-data.md, as somebody follows it: every block of shell is run in one folder, and prints what the page says.
@Suite struct YourDataTests {
    private static let path = PackageRoot.path + "/docs/your-data.md"

    /// A block of shell, and the block of text behind it.
    private struct Step {
        var lines: String
        var printed: String?
        /// Whether it only asks, so that it may be asked again until what came before it has arrived.
        var isQuestion: Bool {
            let askers = ["medallion search", "medallion trace", "curl"]
            return askers.contains { lines.hasPrefix($0) }
        }
    }

    /// The page's blocks: the shell's, and what they print.
    private static func steps(of page: String) -> [Step] {
        var steps: [Step] = []
        for match in page.matches(of: /(?ms)^```(bash|text)\n(.*?)^```$/) {
            if match.output.1 == "bash" {
                steps.append(Step(lines: String(match.output.2)))
            } else if !steps.isEmpty {
                steps[steps.count - 1].printed = String(match.output.2)
            }
        }
        return steps
    }

    /// Without what differs from run to run: hashes, times, places in files, scores of another processor.
    private static func stable(_ text: String) -> String {
        text.replacing(/[0-9a-f]{16,}/, with: "HASH").replacing(/\bv\d-[0-9a-f]{12}\b/, with: "LOGIC")
            .replacing(/\d{4}-\d\d-\d\dT[0-9:.]+Z/, with: "TIME").replacing(/date=[0-9-]+\/hour=\d\d/, with: "HOUR")
            .replacing(/\d+\.\d+/, with: "N").replacing(/byte \d+ \(\d+ bytes\)/, with: "BYTES")
            .replacing(/index version \d+/, with: "VERSION").replacing(/\/\S*\/sources.json/, with: "sources.json")
            .replacing(/, (fresh|late|unknown)\)/, with: ")").replacing(/times: event .*/, with: "times: TIMES")
            .replacing(/(head|tail) -c \+?\d+/, with: "BYTES")
    }

    @Test(.timeLimit(.minutes(4))) func thePageIsTrue() async throws {
        var page = String(decoding: try File.contents(of: Self.path), as: UTF8.self)
        let steps = Self.steps(of: page)
        #expect(steps.count > 8 && steps.count { $0.printed != nil } > 6)
        let isUpdating = getenv("UPDATE_GOLDEN") != nil
        let printed = try await Self.run(steps, isUpdating: isUpdating)
        guard isUpdating else { return }
        var outputs = printed.makeIterator()
        page.replace(/(?ms)^```text\n.*?^```$/) { _ in "```text\n\(outputs.next() ?? "")```" }
        try File.replace(Self.path, with: Array(page.utf8))
    }

    /// - Returns: what each step with a text printed.
    private static func run(_ steps: [Step], isUpdating: Bool) async throws -> [String] {
        let outputs = Mutex<[String]>([])
        try await Deployment.run { @Sendable deployment in
            let folder = deployment.file("walk")
            try Folder.create(folder)
            chmod(folder, 0o711)
            for (number, step) in steps.enumerated() {
                let lines = step.lines.replacing("localhost:8080", with: "127.0.0.1:\(deployment.apiPort)")
                if lines == "medallion up\n" {
                    _ = try deployment.shell("exec " + lines, in: folder, name: "up", isRole: true)
                    try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                    continue
                }
                var (last, attempts) = ("", 0)
                func ask() throws -> Bool {
                    attempts += 1
                    let run = try deployment.shell(lines, in: folder, name: "step \(number).\(attempts)")
                    let ending = try run.awaitEnd(seconds: 60)
                    last = run.output
                    guard ending.isSuccess else { throw PipelineFailure("\(lines)\(ending): \(last)") }
                    return isUpdating || step.printed.map { stable($0) == stable(last) } ?? true
                }
                if isUpdating, step.isQuestion { sleep(6) }
                if step.isQuestion {
                    do {
                        try deployment.wait(for: "what the page prints", seconds: 60, ask)
                    } catch {
                        throw PipelineFailure("\(error)\n\(lines)printed\n\(last)and not\n\(step.printed ?? "")")
                    }
                } else {
                    #expect(try ask(), "\(lines)printed\n\(last)and not\n\(step.printed ?? "")")
                }
                guard step.printed != nil else { continue }
                outputs.withLock { [last] in $0.append(last.hasSuffix("\n") ? last : last + "\n") }
            }
        }
        return outputs.withLock { $0 }
    }
}
