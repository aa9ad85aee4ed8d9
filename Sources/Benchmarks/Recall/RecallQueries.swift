import Bytes
import Records
import Retrieval
import Simulator

/// The queries: some that a person who knows the texts might type, and some of words that never stood together.
struct RecallQueries {
    enum Kind: String, Sendable, CaseIterable {
        /// Five words that follow one another in a text.
        case phrases
        /// Three words, each of another text.
        case randomWords = "random words"
    }

    private static let phraseWords = 5
    private static let randomWords = 3
    /// Shorter ones are mostly function words.
    private static let lettersMin = 4

    private let input: IndexBenchInput
    private let kind: Kind

    init(_ input: IndexBenchInput, _ kind: Kind) { (self.input, self.kind) = (input, kind) }

    /// The same ones for the same input.
    func texts(_ count: Int) throws -> [String] {
        var random = SeededGenerator(seed: kind == .phrases ? 1 : 2)
        return try (0..<count).map { _ in
            switch kind {
            case .phrases:
                let words = try words(&random)
                let start =
                    words.count > Self.phraseWords
                    ? Int(random.next() % UInt64(words.count - Self.phraseWords + 1)) : 0
                return words.dropFirst(start).prefix(Self.phraseWords).joined(separator: " ")
            case .randomWords:
                return try (0..<Self.randomWords).map { _ in
                    let words = try words(&random).filter { $0.count >= Self.lettersMin }
                    return words.isEmpty ? "edit" : String(words[Int(random.next() % UInt64(words.count))])
                }.joined(separator: " ")
            }
        }
    }

    private func words(_ random: inout SeededGenerator) throws -> [Substring] {
        try input.text(Int(random.next() % UInt64(input.documents))).split { !$0.isLetter && !$0.isNumber }
    }
}

/// Filters from none to one that a single document passes.
struct RecallFilters {
    struct Named: Sendable {
        let name: String
        let filter: Filter
    }

    let all: [Named]

    init(_ input: IndexBenchInput) throws {
        var documents: [GoldDocument] = []
        for line in input.lines.prefix(input.documents) {
            documents.append(try line.bytes.withUnsafeBytes { try GoldLine.decode($0) })
        }
        var all = [Named(name: "no filter", filter: .all)]
        func add(
            _ name: String, must: [AttributeTest] = [], mustNot: [AttributeTest] = [], time: Filter.TimeRange = .init()
        ) throws {
            let filter = try Filter(time: time, must: must, mustNot: mustNot)
            let passing = documents.reduce(0) { $0 + (filter.matches(Subject(document: $1)) ? 1 : 0) }
            guard passing > 0 else { return }
            let share = Double(passing) / Double(documents.count)
            let text = share < 0.01 ? "\(passing) documents" : "\(Int((share * 100).rounded())) %"
            all.append(Named(name: "\(name) (\(text))", filter: filter))
        }
        let times = documents.map(\.eventTimeMilliseconds).sorted()
        try add("not English", mustNot: [.equals(.lang, .string("en"))])
        for language in Self.byFrequency(documents.map(\.lang)).prefix(3) {
            try add("lang \(language)", must: [.equals(.lang, .string(language))])
        }
        for isBot in [true, false] { try add("is_bot \(isBot)", must: [.equals(.isBot, .bool(isBot))]) }
        for (first, last) in [(0.45, 0.55), (0.495, 0.505)] {
            let (from, to) = (Int(Double(times.count) * first), Int(Double(times.count) * last))
            try add("a range of time", time: Filter.TimeRange(from: times[from], to: times[to]))
        }
        let users = Self.byFrequency(documents.compactMap(Self.user))
        for user in [users.first, users.last].compactMap(\.self) {
            try add("one user", must: [.equals(.user, .string(user))])
        }
        self.all = all
    }

    private struct Subject: FilterSubject {
        let document: GoldDocument

        func value(of attribute: AttributeName) -> AttributeValue? {
            switch attribute {
            case .collection: .string(document.collection.text)
            case .eventTime: .time(document.eventTimeMilliseconds)
            case .lang: .string(document.lang)
            default: document.attributes.value(of: attribute)
            }
        }
    }

    private static func user(_ document: GoldDocument) -> String? {
        guard case .string(let name)? = document.attributes.value(of: .user) else { return nil }
        return name
    }

    private static func byFrequency(_ values: [String]) -> [String] {
        Dictionary(grouping: values) { $0 }.sorted { ($0.value.count, $1.key) > ($1.value.count, $0.key) }.map(\.key)
    }
}
