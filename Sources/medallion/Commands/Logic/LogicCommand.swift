import Bytes
import Console
import Derivation
import Lake
import Logic
import Settings
import Sources
import Telemetry

/// `medallion logic`: what decides what becomes of a record, in words, and what differs between two such logics.
struct LogicCommand: Command {
    static let name = "logic"
    static let summary = "Shows a generation's logic in words, and what differs between two."
    static let table = ArgumentTable(
        options: [
            .init(name: "--source", value: "NAME", help: "Only this source's; needed for files if there are several."),
            .init(name: "--json", value: nil, help: "One JSON object per source."),
        ],
        positionals: [
            .init(name: "ACTION", isRequired: true, help: "show or diff."),
            .init(
                name: "LOGIC", isRequired: false,
                help: "A generation, `active`, `declared`, or a file (default active)."),
            .init(name: "OTHER", isRequired: false, help: "diff: what it is held against (default declared)."),
        ])
    static let details = """
        A file is written as the member `logic` of a declaration. `diff` exits with 0, whether something differs or not.

          medallion logic show
          medallion logic diff 1 2
          medallion logic diff active new-logic.json --source products
        """

    private let isDiff: Bool
    private let (first, second): (LogicName, LogicName)
    private let source: String?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        switch arguments.word(0) {
        case "show": isDiff = false
        case "diff": isDiff = true
        default: throw UsageError("ACTION is show or diff")
        }
        if !isDiff, arguments.word(2) != nil { throw UsageError("show takes one LOGIC") }
        first = LogicName(arguments.word(1) ?? "active")
        second = LogicName(arguments.word(2) ?? "declared")
        source = arguments.value("--source")
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let place = try LogicPlace(context.settings, source: source)
        let logics = try place.logics(first)
        guard isDiff else {
            guard !logics.isEmpty else { throw Failure("\(first) has no logic of \(source ?? "any source")") }
            for (topic, logic) in logics.sorted(by: { $0.key < $1.key }) { try show(topic, logic) }
            return
        }
        let others = try place.logics(second)
        let topics = Set(logics.keys).union(others.keys).sorted()
        guard !topics.isEmpty else { throw Failure("neither has logic of \(source ?? "any source")") }
        for topic in topics { try diff(topic, logics[topic], others[topic]) }
    }

    private func show(_ topic: String, _ logic: LogicSettings) throws {
        let version = try LogicPlace.version(of: logic)
        guard isJSON else {
            Output.line("\(topic): \(logic.kind.rawValue), \(version)")
            for setting in logic.inWords {
                Output.line("  \(setting.meaning): \(LogText.escaped(setting.value.words))  (\(setting.name))")
            }
            return
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("topic", topic)
        json.string("type", logic.kind.rawValue)
        json.string("logic_version", version)
        json.key("settings")
        json.raw(logic.canonicalJSON)
        json.key("words")
        json.beginArray()
        for setting in logic.inWords { json.string("\(setting.meaning): \(setting.value.words)") }
        json.endArray()
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    private func diff(_ topic: String, _ before: LogicSettings?, _ after: LogicSettings?) throws {
        let changes = before.flatMap { before in after.map { before.changes(to: $0) } } ?? []
        guard isJSON else {
            guard before != nil, after != nil else {
                return Output.line("\(topic): only in \(before == nil ? second : first)")
            }
            Output.line("\(topic): " + (changes.isEmpty ? "the same logic" : "\(changes.count) settings differ"))
            for change in changes { Output.line("  \(LogText.escaped(change.sentence))  (\(change.setting))") }
            return
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("topic", topic)
        for (name, logic) in [("before", before), ("after", after)] {
            json.key(dynamic: name)
            if let logic { json.string(try LogicPlace.version(of: logic)) } else { json.null() }
        }
        json.key("changes")
        json.beginArray()
        for change in changes { json.change(change) }
        json.endArray()
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}

extension JSONWriter {
    /// One setting in which two logics differ.
    mutating func change(_ change: LogicChange) {
        beginObject()
        string("setting", change.setting)
        for (name, value) in [("before", change.before), ("after", change.after)] {
            key(dynamic: name)
            if let value { string(value) } else { null() }
        }
        string("words", change.sentence)
        endObject()
    }
}
