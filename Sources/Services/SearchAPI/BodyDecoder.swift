import Bytes
import JSONScan
import Retrieval

/// A question as asked, after its form was checked.
struct AnswerRequest: Sendable {
    var search: SearchRequest
    var maxTokens = SearchLimits.answerTokensDefault
    var isDebug = false
}

/// Reads request bodies; collects every fault instead of stopping at the first.
struct BodyDecoder {
    private(set) var faults: [FieldFault] = []

    /// Body of `POST /search`.
    static func search(_ body: [UInt8]) throws(APIError) -> SearchRequest {
        var decoder = BodyDecoder()
        let members = try decoder.members(body)
        let request = decoder.search(members, also: [])
        guard decoder.faults.isEmpty else { throw .invalid(decoder.faults) }
        return request
    }

    /// Body of `POST /answer`.
    static func answer(_ body: [UInt8]) throws(APIError) -> AnswerRequest {
        var decoder = BodyDecoder()
        let members = try decoder.members(body)
        var request = AnswerRequest(search: decoder.search(members, also: ["max_tokens", "debug"]))
        if let tokens = decoder.integer(members, "max_tokens", in: 1...SearchLimits.answerTokensMax) {
            request.maxTokens = tokens
        }
        if let debug = decoder.bool(members, "debug", at: ["body"]) { request.isDebug = debug }
        if request.search.cursor != nil {
            decoder.add("value_error", ["body", "cursor"], "an answer has no pages; leave cursor out", nil)
        }
        guard decoder.faults.isEmpty else { throw .invalid(decoder.faults) }
        return request
    }

    private func members(_ body: [UInt8]) throws(APIError) -> [(key: String, value: JSONValue)] {
        if body.isEmpty {
            throw .invalid([FieldFault(type: "missing", location: ["body"], message: "a JSON object is required")])
        }
        let value: JSONValue
        do {
            value = try JSONValue.parse(body, maxDepth: 8)
        } catch {
            throw APIError(
                status: 400, type: "json_invalid", message: "the body is not JSON: \(error)",
                faults: [FieldFault(type: "json_invalid", location: ["body"], message: "\(error)")])
        }
        guard let members = value.object else {
            throw .invalid([
                FieldFault(
                    type: "object_type", location: ["body"], message: "must be a JSON object", inputJSON: echo(value))
            ])
        }
        return members
    }

    private mutating func search(_ members: [(key: String, value: JSONValue)], also further: Set<String>)
        -> SearchRequest
    {
        let known: Set<String> = ["query", "top_k", "mode", "filters", "collection", "cursor"]
        refuseUnknown(members, known: known.union(further), at: ["body"])
        var request = SearchRequest(query: "")
        if let value = member(members, "query") {
            if let query = value.string {
                request.query = query
                faults += RequestRules.faults(query: query, at: ["body", "query"])
            } else {
                add("string_type", ["body", "query"], "must be a string", value)
            }
        } else {
            add("missing", ["body", "query"], "is required", nil)
        }
        if let topK = integer(members, "top_k", in: 1...SearchLimits.topKMax) { request.topK = topK }
        if let value = member(members, "mode") {
            if let mode = value.string.flatMap(SearchMode.init(rawValue:)) {
                request.mode = mode
            } else {
                let choices = SearchMode.allCases.map(\.rawValue).joined(separator: ", ")
                add("enum", ["body", "mode"], "must be one of \(choices)", value)
            }
        }
        filters(members, into: &request.filters)
        cursor(members, request: &request)
        return request
    }

    private mutating func filters(
        _ members: [(key: String, value: JSONValue)], into filters: inout SearchFilters
    ) {
        if let value = member(members, "filters") {
            if let entries = value.object {
                let at: [FieldFault.Step] = ["body", "filters"]
                refuseUnknown(entries, known: ["wiki", "lang", "type", "is_bot", "from", "to", "collection"], at: at)
                filters.wikis = strings(entries, "wiki", at: at)
                filters.languages = strings(entries, "lang", at: at)
                filters.types = strings(entries, "type", at: at)
                filters.isBot = bool(entries, "is_bot", at: at)
                filters.fromMilliseconds = time(entries, "from", at: at)
                filters.toMilliseconds = time(entries, "to", at: at)
                faults += RequestRules.faults(range: filters, at: at)
                filters.collection = collection(entries, at: at)
            } else {
                add("object_type", ["body", "filters"], "must be an object", value)
            }
        }
        if let collection = collection(members, at: ["body"]) {
            if let other = filters.collection, other != collection {
                add("value_error", ["body", "collection"], "differs from filters.collection", .string(collection))
            }
            filters.collection = collection
        }
    }

    private mutating func collection(
        _ members: [(key: String, value: JSONValue)], at location: [FieldFault.Step]
    ) -> String? {
        let values = strings(members, "collection", at: location)
        if values.count > 1 {
            add("string_type", location + [.name("collection")], "must be one string", nil)
        }
        return values.first
    }

    private mutating func cursor(_ members: [(key: String, value: JSONValue)], request: inout SearchRequest) {
        guard let value = member(members, "cursor") else { return }
        guard let text = value.string, let cursor = SearchCursor(text: text) else {
            add("cursor_invalid", ["body", "cursor"], "is not a next_cursor of this API", value)
            return
        }
        if faults.isEmpty, cursor.fingerprint != request.fingerprint {
            add(
                "cursor_mismatch", ["body", "cursor"],
                "continues a search with another query, mode or filters; repeat them as they were", value)
        }
        request.cursor = cursor
    }

    /// A member that is there and not null.
    private func member(_ members: [(key: String, value: JSONValue)], _ name: String) -> JSONValue? {
        guard let value = members.last(where: { $0.key == name })?.value, !value.isNull else { return nil }
        return value
    }

    private mutating func integer(
        _ members: [(key: String, value: JSONValue)], _ name: String, in range: ClosedRange<Int>
    ) -> Int? {
        guard let value = member(members, name) else { return nil }
        let location: [FieldFault.Step] = ["body", .name(name)]
        guard let number = value.integer else {
            add("int_type", location, "must be a whole number", value)
            return nil
        }
        let found = RequestRules.faults(number, in: range, at: location)
        faults += found
        return found.isEmpty ? Int(number) : nil
    }

    private mutating func bool(
        _ members: [(key: String, value: JSONValue)], _ name: String, at location: [FieldFault.Step]
    ) -> Bool? {
        guard let value = member(members, name) else { return nil }
        if value.bool == nil { add("bool_type", location + [.name(name)], "must be true or false", value) }
        return value.bool
    }

    /// One string or a list of them.
    private mutating func strings(
        _ members: [(key: String, value: JSONValue)], _ name: String, at location: [FieldFault.Step]
    ) -> [String] {
        guard let value = member(members, name) else { return [] }
        let location = location + [.name(name)]
        var result: [String] = []
        if let text = value.string {
            result = [text]
        } else if let list = value.array {
            for (index, element) in list.enumerated() {
                if let text = element.string {
                    result.append(text)
                } else {
                    add("string_type", location + [.index(index)], "must be a string", element)
                }
            }
        } else {
            add("string_type", location, "must be a string or a list of strings", value)
        }
        faults += RequestRules.faults(values: result, at: location)
        return result
    }

    private mutating func time(
        _ members: [(key: String, value: JSONValue)], _ name: String, at location: [FieldFault.Step]
    ) -> Int64? {
        guard let value = member(members, name) else { return nil }
        if let text = value.string, let time = CivilTime.epochMilliseconds(text) { return time }
        add(
            "datetime_parsing", location + [.name(name)],
            "must be a time with zone as in RFC 3339, such as 2026-11-21T06:00:00Z", value)
        return nil
    }

    private mutating func refuseUnknown(
        _ members: [(key: String, value: JSONValue)], known: Set<String>, at location: [FieldFault.Step]
    ) {
        var seen: Set<String> = []
        for (key, value) in members {
            let at = location + [.name(Snippet.head(of: key, charactersMax: 60))]
            if !known.contains(key) {
                add("extra_forbidden", at, "is not known; known are \(known.sorted().joined(separator: ", "))", value)
            } else if !seen.insert(key).inserted {
                add("duplicate", at, "is given twice", value)
            }
            // A body of a thousand unknown members needs no reply of a thousand faults.
            if faults.count >= Self.faultsMax { return }
        }
    }

    /// Faults that one reply lists at most.
    private static let faultsMax = 32

    private mutating func add(
        _ type: String, _ location: [FieldFault.Step], _ message: String, _ input: JSONValue?
    ) {
        faults.append(
            FieldFault(type: type, location: location, message: message, inputJSON: input.map { echo($0) }))
    }

    /// The value as JSON, where it is small; a list or object is only named.
    private func echo(_ value: JSONValue) -> [UInt8] {
        switch value {
        case .null: Array("null".utf8)
        case .bool(let flag): Array("\(flag)".utf8)
        case .integer(let number): Array("\(number)".utf8)
        case .double(let number):
            {
                var writer = JSONWriter()
                writer.double(number)
                return writer.bytes
            }()
        case .string(let text): RequestRules.echo(text)
        case .array(let list): RequestRules.echo("a list of \(list.count)")
        case .object(let members): RequestRules.echo("an object of \(members.count)")
        }
    }
}
