import Bytes
import Concurrency
import Console
import ServiceLifecycle
import Telemetry

/// `medallion doctor`: what works, what does not, and what to do.
struct DoctorCommand: Command {
    static let name = "doctor"
    static let summary = "Looks at every dependency: reachable, which version, and what to do if not."
    static let table = ArgumentTable(options: [
        .init(name: "--json", value: nil, help: "One JSON object with an array of checks."),
        .init(name: "--offline", value: nil, help: "Leave out the live stream."),
        .init(
            name: "--only", value: "NAMES",
            help: "Look at these alone: \(DoctorChecks.names.joined(separator: ", ")); several with commas."),
    ])
    static let details = "Exit code 0 when everything that is required works, else 69. Changes nothing."

    private let isJSON: Bool
    private let isOffline: Bool
    private let only: Set<String>?

    init(_ arguments: ParsedArguments) throws {
        isJSON = arguments.has("--json")
        isOffline = arguments.has("--offline")
        only = arguments.value("--only").map { Set($0.split(separator: ",").map { String($0) }) }
        if let unknown = only?.subtracting(DoctorChecks.names).sorted().first {
            throw UsageError("--only \(unknown): not one of \(DoctorChecks.names.joined(separator: ", "))")
        }
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        var results: [DoctorResult] = []
        for check in DoctorChecks.all(platform, isOffline: isOffline) where only?.contains(check.name) ?? true {
            let result = try await Lane(name: "doctor").run { check.run() }
            results.append(result)
            if !isJSON { Output.print(result.text) }
        }
        if only?.contains("model") ?? true {
            let result = await DoctorChecks.model(platform)
            results.append(result)
            if !isJSON { Output.print(result.text) }
        }
        if isJSON { Output.write(Self.json(results)) }
        let failed = results.filter { $0.state == .failed }
        guard failed.isEmpty else {
            throw Failure(
                "\(failed.map(\.name).joined(separator: ", ")): not working, see above", code: .dependencyUnavailable)
        }
    }

    private static func json(_ results: [DoctorResult]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("checks")
        json.beginArray()
        for result in results {
            json.beginObject()
            json.string("name", result.name)
            json.string("state", result.state.rawValue)
            json.string("detail", result.detail)
            json.string("hint", result.hint)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes + [0x0A]
    }
}

/// What one check found.
struct DoctorResult: Sendable {
    /// How a dependency is.
    enum State: String, Sendable {
        case ok
        /// Not there, and not needed now: an embedded part that runs only while `up` does, say.
        case idle
        /// Works, but someone should look.
        case warning
        case failed
    }

    let name: String
    let state: State
    /// Address, version, figures.
    let detail: String
    /// What to do; empty where nothing is to be done.
    let hint: String

    init(_ name: String, _ state: State, _ detail: String, hint: String = "") {
        self.name = name
        self.state = state
        self.detail = detail
        self.hint = hint
    }

    var text: String {
        let mark =
            switch state {
            case .ok: "ok     "
            case .idle: "idle   "
            case .warning: "warning"
            case .failed: "FAILED "
            }
        let head = "\(mark)  \(name): \(LogText.escaped(detail))\n"
        return hint.isEmpty ? head : head + "         → \(LogText.escaped(hint))\n"
    }
}
