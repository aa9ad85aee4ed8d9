import Console
import Derivation
import Lake
import Logic
import Records
import Settings
import Sources

/// Where a logic is to be found, as a command line names it.
enum LogicName: Sendable, CustomStringConvertible {
    case active
    case declared
    case generation(Int64)
    case file(String)

    init(_ word: String) {
        switch word {
        case "active": self = .active
        case "declared": self = .declared
        default: self = Int64(word).map(LogicName.generation) ?? .file(word)
        }
    }

    var description: String {
        switch self {
        case .active: "the active generation"
        case .declared: "the declaration"
        case .generation(let number): "generation \(number)"
        case .file(let path): path
        }
    }
}

/// Reads logics from the lake's list, the declarations and files.
struct LogicPlace {
    private let settings: Settings
    private let declared: [SourceDeclaration]
    private let source: String?

    /// - Parameter source: the one source that is meant; nil for all.
    init(_ settings: Settings, source: String?) throws {
        self.settings = settings
        self.source = source
        let all = try DeclaredSources.read(settings).sources
        declared = all.filter { source == nil || $0.name.text == source }
        guard source == nil || !declared.isEmpty else {
            throw UsageError(
                "no declared source is \(source ?? ""); declared are \(all.map(\.name.text).joined(separator: ", "))")
        }
    }

    /// By topic.
    func logics(_ name: LogicName) throws -> [String: LogicSettings] {
        switch name {
        case .declared:
            return Dictionary(declared.map { ($0.topic, $0.logic) }) { _, last in last }
        case .file(let path):
            guard let only = declared.first, declared.count == 1 else { throw UsageError("a file goes with --source") }
            let logic = try LogicFile.read(path, of: only, defaults: try TransformSettings(settings))
            return [only.topic: logic]
        case .active, .generation:
            return try stored(name)
        }
    }

    private func stored(_ name: LogicName) throws -> [String: LogicSettings] {
        let layout = try LakeLayout(settings)
        let list = try GenerationLog(layout: layout).read()
        let found = list.last { generation in
            if case .generation(let number) = name { return generation.number == number }
            return generation.state == .active
        }
        guard let found else {
            throw Failure("the lake \(layout.root) has no \(name); `medallion generations` lists what there is")
        }
        // A list of lake formats 1 and 2 names no topics: one logic for all that the lake holds.
        var topics = found.logic.topics.map(\.topic)
        if topics.isEmpty { topics = Set(try LakeReader(layout: layout).sources().map(\.topic)).sorted() }
        var logics: [String: LogicSettings] = [:]
        for topic in topics where source == nil || declared.contains(where: { $0.topic == topic }) {
            logics[topic] = try found.logic.logic(of: topic)?.read()
        }
        return logics
    }

    /// The fingerprint.
    static func version(of logic: LogicSettings) throws -> String {
        var hasher = try LibraryHasher()
        return try logic.logicVersion(hasher: &hasher)
    }
}
