import Bytes
import Console

/// `medallion search`: hits for a query, or what is like a document.
struct SearchCommand: Command {
    static let name = "search"
    static let summary = "Finds documents by meaning and by words."
    static let table = ArgumentTable(
        options: Question.options + members.map(\.option) + likeness,
        positionals: [
            .init(name: "QUERY", isRequired: false, help: "What to look for; not with --like.", takesRest: true)
        ])

    /// An option that becomes a member of the request.
    private struct Member {
        enum Kind {
            case flag
            case text
            /// Words with commas between them.
            case list
            case integer(ClosedRange<Int>)
            case number(ClosedRange<Double>)
            /// `{"<name>": text}`.
            case nested(String)
        }

        let name: String
        let kind: Kind
        let option: ArgumentTable.Option

        /// - Parameters:
        ///   - option: its name without dashes.
        ///   - value: what stands for its value in help; nil for a flag.
        ///   - name: the member's; that of the option, if left out.
        init(_ option: String, _ value: String?, _ kind: Kind, as name: String? = nil, _ help: String) {
            self.name = name ?? option.replacing("-", with: "_")
            self.kind = kind
            self.option = .init(name: "--\(option)", value: value, help: help)
        }
    }

    private static let members: [Member] = [
        Member("sort", "ORDER", .text, "relevance, or time: the newest first among what was found."),
        Member(
            "half-life", "TIME", .nested("half_life"), as: "recency",
            "New documents rise, half as far after this time, such as 6h."),
        Member("min-score", "N", .number(0...1_000_000), "Only hits whose fused score is not less."),
        Member("group-by", "NAME", .text, "One hit for each title, or value of an attribute."),
        Member("exact", nil, .flag, "Compares all passages that pass the filters, not those that the graph leads to."),
        Member("ef", "N", .integer(1...1_000), "Candidates that the search in the graph keeps."),
        Member("total", nil, .flag, "How many documents pass the filters and hold a word of the query."),
        Member("facets", "NAMES", .list, "Counts the values of these attributes among them, such as lang,wiki."),
        Member("min-index-version", "N", .integer(0...Int.max), "Waits until this version of the index is visible."),
        Member("timeout-ms", "N", .integer(1...1_000_000), "How long the search may take."),
        Member("explain", nil, .flag, "What scores are made of."),
    ]

    private static let likeness: [ArgumentTable.Option] = [
        .init(name: "--like", value: "DOC_ID", help: "What is like this document, in place of a query."),
        .init(name: "--like-passage", value: "N", help: "With --like: like this passage of it."),
        .init(
            name: "--like-collection", value: "NAME",
            help: "With --like: its collection, where several have a document of that id."),
    ]

    private let question: Question

    init(_ arguments: ParsedArguments) throws {
        let target = arguments.value("--like")
        let passage = try arguments.integer("--like-passage", in: 0...Int(Int32.max))
        let collection = arguments.value("--like-collection")
        guard target != nil || (passage == nil && collection == nil) else {
            throw UsageError("--like-passage and --like-collection say more of --like, which is missing")
        }
        if target == nil, arguments.words.isEmpty { throw UsageError("QUERY is missing") }
        if target != nil, !arguments.words.isEmpty {
            throw UsageError("--like takes the place of the words of a query")
        }
        if target != nil, arguments.value("--mode") != nil { throw UsageError("--like is a mode of its own") }
        for member in Self.members { try Self.check(member, arguments) }
        // As with other members: what is left out is not sent.
        question = try Question(arguments) { json in
            if let target {
                json.string("mode", "like")
                json.key("like")
                json.beginObject()
                json.string("doc_id", target)
                if let passage { json.integer("passage", passage) }
                if let collection { json.string("collection", collection) }
                json.endObject()
            }
            for member in Self.members { Self.write(member, arguments, &json) }
        }
    }

    private static func check(_ member: Member, _ arguments: ParsedArguments) throws {
        switch member.kind {
        case .flag, .text, .list, .nested: break
        case .integer(let range): _ = try arguments.integer(member.option.name, in: range)
        case .number(let range): _ = try arguments.number(member.option.name, in: range)
        }
    }

    private static func write(_ member: Member, _ arguments: ParsedArguments, _ json: inout JSONWriter) {
        if case .flag = member.kind {
            guard arguments.has(member.option.name) else { return }
            json.key(dynamic: member.name)
            return json.bool(true)
        }
        guard let value = arguments.value(member.option.name) else { return }
        json.key(dynamic: member.name)
        switch member.kind {
        case .flag: break
        case .text: json.string(value)
        case .list:
            json.beginArray()
            for word in value.split(separator: ",") { json.string(String(word)) }
            json.endArray()
        case .integer: json.integer(Int64(value) ?? 0)
        case .number: json.double(Double(value) ?? 0)
        case .nested(let name):
            json.beginObject()
            json.key(dynamic: name)
            json.string(value)
            json.endObject()
        }
    }

    func run(_ context: Context) async throws {
        try await question.ask("/search", context, render: Rendering.hits)
    }
}
