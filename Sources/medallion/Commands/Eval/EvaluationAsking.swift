import Bytes
import Concurrency
import Console
import Evaluation
import HTTPClient
import JSONScan
import Synchronization
import Telemetry

/// Asks a platform the queries of a judged set, of each arm, some at once, and measures what comes back.
final class EvaluationAsking: Sendable {
    /// How much is asked.
    struct Options: Sendable {
        var arms: [String]
        /// Hits per query.
        var depth: Int
        var collection: String?
        /// Whether words of queries may become filters.
        var interprets: Bool
        /// Requests under way.
        var atOnce: Int
        /// For all of it.
        var secondsMax: Int
    }

    private let api: PatientAPI
    private let set: JudgedSet
    private let options: Options
    private let state: Mutex<State>

    private struct State: Sendable {
        var next = 0
        /// Ids of documents, best first, by arm and query.
        var rankings: [[[String]]]
        var generations: Set<Int64> = []
        var indexVersion: Int64 = 0
        /// Replies without an arm, with an arm that did not end, and with a document twice.
        var degraded = 0
        var incomplete = 0
        var repeated = 0
    }

    /// Documents whose being there is looked up where no arm found them.
    private static let lookUpsMax = 50

    init(api: APIClient, set: JudgedSet, options: Options) {
        self.api = PatientAPI(
            client: api, secondsMax: options.secondsMax, asked: "all \(set.queries.count * options.arms.count) queries")
        self.set = set
        self.options = options
        state = Mutex(State(rankings: options.arms.map { _ in set.queries.map { _ in [] } }))
    }

    /// - Throws: ``Failure`` where a query is refused, nobody answers, or the time is over.
    func run() async throws -> EvaluationRun {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<options.atOnce {
                group.addTask { [self] in
                    let lane = Lane(name: "eval-\(number)")
                    while let (arm, query) = nextOne() { try await ask(arm, query, on: lane) }
                }
            }
            try await group.waitForAll()
        }
        let found = state.withLock { $0 }
        var arms: [String: [EvaluationRun.Scores]] = [:]
        for (arm, rankings) in zip(options.arms, found.rankings) {
            arms[arm] = zip(rankings, set.queries).map { RankingMeasures.all($0, grades: $1.grades) }
        }
        let notes = notes(found) + (try await unknownDocuments(found))
        return EvaluationRun(
            origin: EvaluationRun.Origin(
                name: api.base, set: set.fingerprint, depth: options.depth, generation: found.generations.max() ?? 0,
                indexVersion: found.indexVersion, askedAtMilliseconds: SystemClock.epochMilliseconds()),
            queries: set.queries.map(\.id), arms: arms, notes: notes)
    }

    private func nextOne() -> (arm: Int, query: Int)? {
        let count = set.queries.count
        return state.withLock { state in
            guard state.next < count * options.arms.count else { return nil }
            defer { state.next += 1 }
            return (state.next / count, state.next % count)
        }
    }

    private func ask(_ arm: Int, _ query: Int, on lane: Lane) async throws {
        let judged = set.queries[query]
        let response = try await api.response(
            HTTPClientRequest(
                method: "POST", url: api.base + "/search", headers: [("Content-Type", "application/json")],
                body: body(judged, arm: options.arms[arm])), on: lane)
        guard response.status == 200 else {
            let failure = APIClient.failure(response)
            throw Failure(
                "query \(LogText.escaped(judged.id)) (\(options.arms[arm])): \(failure.description)", code: failure.code
            )
        }
        let reply = try JSONValue.parse(response.body, maxDepth: 64)
        // The API gives each document once, with its best passage; two of one id are those of two collections.
        let ids = (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
        var seen: Set<String> = []
        let ranking = ids.filter { seen.insert($0).inserted }
        state.withLock { state in
            state.rankings[arm][query] = ranking
            if let generation = reply["generation"]?.integer { state.generations.insert(generation) }
            state.indexVersion = max(state.indexVersion, reply["index_version"]?.integer ?? 0)
            if reply["missing_arms"] != nil { state.degraded += 1 }
            if reply["incomplete_arms"] != nil { state.incomplete += 1 }
            if ranking.count < ids.count { state.repeated += 1 }
        }
    }

    private func body(_ query: JudgedQuery, arm: String) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("query", query.text)
        json.string("mode", arm)
        json.integer("top_k", options.depth)
        if let collection = options.collection { json.string("collection", collection) }
        if !options.interprets { json.bool("interpret", false) }
        if let filters = query.filters {
            json.key("filters")
            json.raw(filters)
        }
        json.endObject()
        return json.bytes
    }

    private func notes(_ found: State) -> [String] {
        var notes: [String] = []
        func note(_ count: Int, _ one: String, _ many: String, _ rest: String) {
            if count > 0 { notes.append("\(count) \(count == 1 ? one : many) \(rest)") }
        }
        note(
            set.withoutRelevant.count, "query was", "queries were",
            "left out: no document is relevant to \(set.withoutRelevant.count == 1 ? "it" : "them")")
        note(set.withoutText.count, "judged id is", "judged ids are", "none of the set's queries")
        note(found.degraded, "reply was", "replies were", "without the vector arm (missing_arms)")
        note(found.incomplete, "reply was", "replies were", "given before an arm had looked at all (incomplete_arms)")
        note(
            found.repeated, "reply had", "replies had",
            "documents of two collections with one id: --collection tells them apart")
        if found.generations.count > 1 {
            let numbers = found.generations.sorted().map { "\($0)" }.joined(separator: ", ")
            notes.append("the generation changed meanwhile: \(numbers)")
        }
        return notes
    }

    /// Looks up some of the relevant documents that no arm returned: those that are not there at all are a fault of the set,
    /// or of what was loaded, and not of retrieval.
    private func unknownDocuments(_ found: State) async throws -> [String] {
        let returned = Set(found.rankings.flatMap { $0.flatMap(\.self) })
        let relevant = set.relevantDocuments
        let absent = relevant.filter { !returned.contains($0) }
        guard !absent.isEmpty else { return [] }
        let step = max(1, (absent.count + Self.lookUpsMax - 1) / Self.lookUpsMax)
        let looked = stride(from: 0, to: absent.count, by: step).map { absent[$0] }
        let lane = Lane(name: "eval-trace")
        var unknown: [String] = []
        let place = options.collection.map { "?collection=\(APIClient.segment($0))" } ?? ""
        for document in looked {
            let path = "/trace/\(APIClient.segment(document))\(place)"
            let response = try await api.response(HTTPClientRequest(url: api.base + path), on: lane)
            switch response.status {
            case 200: break
            case 404: unknown.append(document)
            default:
                return [
                    "\(absent.count) of \(relevant.count) relevant documents were never returned; whether they are there "
                        + "cannot be looked up: \(APIClient.failure(response).description)"
                ]
            }
        }
        if absent.count == relevant.count, unknown.count == looked.count {
            throw Failure(
                "\(api.base) knows none of the judged documents, such as \(LogText.escaped(unknown[0])): do the ids fit "
                    + "those that it gives (doc_id)?")
        }
        var note = "\(absent.count) of \(relevant.count) relevant documents were never returned"
        note += "; of \(looked.count) looked up, \(unknown.count) \(unknown.count == 1 ? "is" : "are") not in the index"
        if let first = unknown.first { note += ", such as \(first)" }
        return [note]
    }
}
