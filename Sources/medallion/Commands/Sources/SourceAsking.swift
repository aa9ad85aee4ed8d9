import Bytes
import Concurrency
import Console
import JSONScan
import KafkaAccess
import Records
import Settings
import Sources
import Telemetry

/// What `medallion sources` asks of a running platform.
struct SourceAsking: Sendable {
    enum What: Sendable {
        case status
        case request(SourceRequest.Action)
    }

    let what: What
    private let name: String?
    private let reason: String
    private let url: String?
    private let tenant: String?
    private let isJSON: Bool

    private static let publishMilliseconds = 10_000

    init(_ what: What, _ arguments: ParsedArguments) throws {
        self.what = what
        name = arguments.word(1)
        reason = arguments.value("--reason") ?? ""
        url = arguments.value("--url")
        tenant = try APIClient.tenant(arguments)
        isJSON = arguments.has("--json")
        var foreign: [String]
        switch what {
        case .status: foreign = ["--reason", "--from", "--to", "--request", "--file"]
        case .request(let action):
            guard name != nil else { throw UsageError("NAME says which source") }
            foreign = ["--url", "--tenant"]
            if case .snapshot = action {} else { foreign += ["--from", "--to"] }
            if case .giveUp = action {} else { foreign.append("--request") }
        }
        for option in foreign where arguments.value(option) != nil {
            throw UsageError("\(option) does not go with \(arguments.word(0) ?? "")")
        }
        guard reason.utf8.count <= SourceRequest.textBytesMax else {
            throw UsageError("--reason has at most \(SourceRequest.textBytesMax) bytes")
        }
        guard arguments.value("--request")?.utf8.count ?? 0 <= SourceRequest.textBytesMax else {
            throw UsageError("--request has at most \(SourceRequest.textBytesMax) bytes")
        }
        // No shell can give U+0000, which no key of a database holds.
        for option in ["--from", "--to"]
        where arguments.value(option)?.utf8.count ?? 0 > SourceKeyRange.textBytesMax {
            throw UsageError("\(option) has at most \(SourceKeyRange.textBytesMax) bytes")
        }
    }

    // MARK: Requests

    /// Hands the request to the topic.
    func ask(_ context: Context, _ declared: DeclaredSources) async throws {
        guard case .request(let action) = what, let name else { return }
        guard let source = declared.sources.first(where: { $0.name.text == name }) else {
            let known = declared.sources.map(\.name.text).sorted().joined(separator: ", ")
            throw Failure("there is no source \(LogText.escaped(name)); there are \(known)")
        }
        if source.connector == .none {
            throw Failure("another program fills the topic of \(name) (connector none): ask that one")
        }
        switch action {
        case .pause, .resume: break
        case .snapshot, .giveUp:
            guard case .postgres = source.connector else {
                throw Failure(
                    "only a table of Postgres can be read again; the connector of \(name) is "
                        + "\(source.connector.kind.rawValue)")
            }
        }
        var generator = SystemRandomNumberGenerator()
        let request = SourceRequest(
            id: SourceRequest.makeID(using: &generator), source: name, action: action, reason: reason,
            by: MachineAccount.name, atMilliseconds: SystemClock.epochMilliseconds())
        let publisher = Platform(context: context).sourceRequestPublisher()
        try await Lane(name: "ask").run {
            do {
                try publisher.publish(.request(request), timeoutMilliseconds: Self.publishMilliseconds)
            } catch {
                throw Failure(
                    "the topic does not take it: \(error): does `medallion up` or the broker run?",
                    code: .dependencyUnavailable)
            }
        }
        guard !isJSON else { return Output.write(request.json + [0x0A]) }
        Output.line(
            "\(name): \(Self.words(action)) (\(request.id)); it is heeded within a second of its process being there, and "
                + "`medallion sources log \(name)` says so then")
        if case .postgres(let table) = source.connector, action == .pause {
            Output.complain(
                "until it is resumed the server keeps its log for the slot \(LogText.escaped(table.slot)), and its disk may fill\n"
            )
        }
    }

    private static func words(_ action: SourceRequest.Action) -> String {
        switch action {
        case .pause: "is to stand still"
        case .resume: "is to continue"
        case .giveUp(let id):
            id.map { "the snapshot \(LogText.escaped($0)) is given up" }
                ?? "the snapshots asked for so far are given up"
        case .snapshot(let range):
            range.isWhole
                ? "its table is read again"
                : "its rows from \(LogText.escaped(range.from ?? "the first")) to \(LogText.escaped(range.to ?? "the last")) are "
                    + "read again"
        }
    }

    // MARK: status

    /// Shows what the API says.
    func showStatus(_ settings: Settings) async throws {
        let client = APIClient(settings: settings, url: url, tenant: tenant)
        let reply = try await Lane(name: "ask").run { try client.get("/sources") }
        let all = reply["sources"]?.array ?? []
        let shown = all.filter { name == nil || $0["name"]?.string == name }
        if let name, shown.isEmpty {
            let known = all.compactMap { $0["name"]?.string }.map { LogText.escaped($0) }.sorted().joined(
                separator: ", ")
            throw Failure("there is no source \(LogText.escaped(name)); there are \(known)")
        }
        for source in shown {
            if isJSON {
                Output.write(Array(source.text.utf8) + [0x0A])
            } else {
                for line in Self.lines(source) { Output.line(LogText.escaped(line)) }
            }
        }
    }

    static func lines(_ source: JSONValue) -> [String] {
        func text(_ name: String) -> String? { source[name]?.string }
        func number(_ name: String) -> String? { source[name]?.integer.map { "\($0)" } }
        var parts = [text("name") ?? "?", text("connector") ?? "?", text("phase") ?? "runs elsewhere"]
        if let position = number("position") { parts.append("position \(position)") }
        if let rate = source["rate_per_sec"]?.double { parts.append("\((rate * 10).rounded() / 10) a second") }
        if let lag = number("lag_bytes") { parts.append("\(lag) bytes wait in the source") }
        parts.append("\(text("freshness") ?? "?"), \(number("events_behind") ?? "?") behind")
        var lines = [parts.joined(separator: "  ")]
        if let pause = source["paused"], pause["at"] != nil {
            let reason = pause["reason"]?.string ?? ""
            lines.append(
                "  paused at \(pause["at"]?.string ?? "?") by \(pause["by"]?.string ?? "?")"
                    + (reason.isEmpty ? "" : ": \(reason)"))
        }
        if let snapshot = source["snapshot"], let state = snapshot["state"]?.string {
            let expected = snapshot["rows_expected"]?.integer.map { " of about \($0)" } ?? ""
            let reason = snapshot["reason"]?.string.map { ": \($0)" } ?? ""
            lines.append(
                "  snapshot \(snapshot["id"]?.string ?? "as declared") \(state), \(snapshot["rows"]?.integer ?? 0) rows"
                    + expected + reason)
        }
        if let error = text("last_error") { lines.append("  \(text("last_error_at") ?? "?"): \(error)") }
        return lines
    }
}
