import Bytes
import Hashing
import JSONScan
import Records

/// The logic of one topic in a generation, as the lake stores it: enough to run it again without any declaration.
package struct TopicLogic: Sendable, Equatable {
    /// The kind of recent changes, which every logic of lake formats 1 and 2 is.
    package static let recentChange = "recent_change"

    /// Which member of the closed set of logics.
    package let kind: String
    /// Whom the documents belong to.
    package let tenant: String
    /// Under which name they are found.
    package let collection: String
    /// The fingerprint of code and settings.
    package let logicVersion: String
    /// The settings as canonical JSON text.
    package let settings: String

    package init(kind: String, tenant: String, collection: String, logicVersion: String, settings: String) {
        self.kind = kind
        self.tenant = tenant
        self.collection = collection
        self.logicVersion = logicVersion
        self.settings = settings
    }
}

/// The logic of a generation: of each topic its own.
package enum GenerationLogic: Sendable, Equatable {
    /// As lists of lake formats 1 and 2 have it: one logic of recent changes for whatever topics the lake holds.
    case former(logicVersion: String, settings: String)
    case byTopic([String: TopicLogic])

    /// What makes a topic's lines; nil where the generation knows nothing of the topic.
    package func logic(of topic: String) -> TopicLogic? {
        switch self {
        case .former(let logicVersion, let settings):
            TopicLogic(
                kind: TopicLogic.recentChange, tenant: TenantID.standard.text, collection: topic,
                logicVersion: logicVersion, settings: settings)
        case .byTopic(let topics): topics[topic]
        }
    }

    /// Whether it is a list's of formats 1 and 2.
    var isFormer: Bool {
        if case .former = self { return true }
        return false
    }

    /// The same, but for a topic that a list of formats 1 and 2 has made no line of: its declaration says by what it is made.
    func known(_ topic: String, held: Set<String>) -> TopicLogic? {
        isFormer && !held.contains(topic) ? nil : logic(of: topic)
    }

    /// The topics that it names, in order; none of a list of formats 1 and 2.
    package var topics: [(topic: String, logic: TopicLogic)] {
        guard case .byTopic(let topics) = self else { return [] }
        return topics.sorted { $0.key < $1.key }.map { (topic: $0.key, logic: $0.value) }
    }

    /// For people and for the database: with one topic its logic version, with several a fingerprint of them all.
    package var logicVersion: String {
        switch self {
        case .former(let logicVersion, _): return logicVersion
        case .byTopic(let topics):
            if topics.count == 1, let only = topics.values.first { return only.logicVersion }
            let lines = topics.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.logicVersion)\n" }.joined()
            return "all-" + Self.fingerprint(lines)
        }
    }

    /// The first 12 digits of the SHA-256.
    private static func fingerprint(_ text: String) -> String {
        var digits: [UInt8] = []
        // Without OpenSSL's SHA-256 no line could have been made of anything; a word is better than no list.
        if var hasher = try? SHA256Hasher() {
            Array(text.utf8).withUnsafeBytes { bytes in try? hasher.hash(bytes).appendHex(to: &digits) }
        }
        return digits.isEmpty ? "unknown" : String(decoding: digits.prefix(12), as: UTF8.self)
    }

    /// The same with another logic for some topics.
    ///
    /// - Parameter held: the topics that the lake has records of: with a list of formats 1 and 2 those keep its logic.
    package func replacing(_ news: [String: TopicLogic], held: Set<String>) -> GenerationLogic {
        .byTopic(explicit(held).merging(news) { $1 })
    }

    /// A topic that this names, and another logic does not.
    func firstTopic(missingIn other: GenerationLogic) -> String? {
        guard case .byTopic(let topics) = self else { return nil }
        return topics.keys.sorted().first { other.logic(of: $0) == nil }
    }

    /// Of each topic its own.
    private func explicit(_ held: Set<String>) -> [String: TopicLogic] {
        if case .byTopic(let topics) = self { return topics }
        return held.reduce(into: [:]) { $0[$1] = logic(of: $1) }
    }
}

// MARK: - JSON

extension GenerationLogic {
    /// Appends the members of an entry of the list.
    func write(to json: inout JSONWriter) {
        json.string("logic_version", logicVersion)
        switch self {
        case .former(_, let settings): json.string("settings", settings)
        case .byTopic:
            json.key("logics")
            json.beginArray()
            for (topic, logic) in topics {
                json.beginObject()
                json.string("topic", topic)
                json.string("type", logic.kind)
                json.string("tenant", logic.tenant)
                json.string("collection", logic.collection)
                json.string("logic_version", logic.logicVersion)
                json.string("settings", logic.settings)
                json.endObject()
            }
            json.endArray()
        }
    }

    /// Reads the members of an entry; nil where one is missing or of another type.
    init?(_ entry: JSONValue) {
        guard let list = entry["logics"] else {
            guard let logicVersion = entry["logic_version"]?.string, let settings = entry["settings"]?.string else {
                return nil
            }
            self = .former(logicVersion: logicVersion, settings: settings)
            return
        }
        guard let list = list.array, !list.isEmpty else { return nil }
        var topics: [String: TopicLogic] = [:]
        for value in list {
            guard let topic = value["topic"]?.string, topics[topic] == nil, let kind = value["type"]?.string,
                let tenant = value["tenant"]?.string, let collection = value["collection"]?.string,
                let logicVersion = value["logic_version"]?.string, let settings = value["settings"]?.string
            else { return nil }
            topics[topic] = TopicLogic(
                kind: kind, tenant: tenant, collection: collection, logicVersion: logicVersion, settings: settings)
        }
        self = .byTopic(topics)
    }
}
