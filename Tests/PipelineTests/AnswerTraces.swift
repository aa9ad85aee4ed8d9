import Bytes
import Glibc
import HTTPClient
import JSONScan
import PlatformTesting
import Testing

/// Answers of a deployment that are traced again and again, whatever becomes of index and lake meanwhile.
struct AnswerTraces {
    private let deployment: Deployment
    private var api: API
    private var random: SeededGenerator
    /// Ids of answers, fresh ones, streamed ones, and those that a cache gave again.
    private(set) var ids: Set<String> = []

    init(_ deployment: Deployment) {
        self.deployment = deployment
        api = deployment.api
        random = SeededGenerator(seed: LongTests.seed(17))
    }

    /// The same answers, traced by another server.
    func seen(by api: API) -> AnswerTraces {
        var other = self
        other.api = api
        return other
    }

    /// Asks about what is in the index: each question as JSON or streamed, some of them twice.
    mutating func ask(_ count: Int) throws {
        let events = try deployment.api.get("/events/recent?limit=50")["events"]?.array ?? []
        for _ in 0..<count {
            let event = events[Int(random.next() % UInt64(events.count))]
            let words = (event["text"]?.string ?? "").split(separator: " ").prefix(3 + Int(random.next() % 8))
            let question = "\(event["title"]?.string ?? "") " + words.joined(separator: " ")
            let isStreamed = random.next().isMultiple(of: 3)
            let id = try isStreamed ? stream(question) : give(question)
            ids.insert(id)
            // The same question again is given the same answer, while it holds.
            if random.next().isMultiple(of: 3) { ids.insert(try give(question)) }
        }
    }

    /// One question of our own.
    mutating func ask(_ question: String) throws { ids.insert(try give(question)) }

    private func give(_ question: String) throws -> String {
        try #require(try deployment.api.post("/answer", [("query", .string(question))])["answer_id"]?.string)
    }

    private func stream(_ question: String) throws -> String {
        let body = JSONValue.object([("query", .string(question))]).text
        let reply = try HTTPClient().request(
            HTTPClientRequest(
                method: "POST", url: deployment.api.url + "/answer",
                headers: [("Content-Type", "application/json"), ("Accept", "text/event-stream")],
                body: Array(body.utf8)), timeoutMilliseconds: 30_000)
        let last = String(decoding: reply.body, as: UTF8.self).split(separator: "\n").last { $0.hasPrefix("data:") }
        let done = try JSONValue.parse(Array((last ?? "").dropFirst(5).utf8), maxDepth: 64)
        return try #require(done["answer_id"]?.string)
    }

    /// Every answer leads to its events, whose bytes have the hashes that the answer kept.
    ///
    /// - Parameter place: where all of them must be read; nil for anywhere.
    /// - Returns: how many lines of Gold were derived anew.
    func expectAllToResolve(_ state: String, from place: String? = nil) throws -> Int {
        var (cited, again) = (0, 0)
        for id in ids.sorted() {
            let trace = try api.get("/answers/\(id)/trace")
            #expect(trace["complete"]?.bool == true, "\(state): \(trace)")
            for citation in trace["citations"]?.array ?? [] {
                cited += 1
                if citation["gold"]?["derived_again"]?.bool == true { again += 1 }
                let bronze = citation["bronze"]?[0]
                #expect(bronze?["hash_ok"]?.bool == true && bronze?["sha256"] == bronze?["lineage_sha256"], "\(state)")
                #expect(citation["gold"]?["record"]?["content_hash"] == citation["content_hash"], "\(state)")
                if let place { #expect(bronze?["read_from"]?.string == place, "\(state)") }
                #expect(citation["text"]?.string?.isEmpty == false && citation["logic"]?.isNull == false, "\(state)")
                Self.expectTimesToAddUp(citation["times"], hasLake: api.port == deployment.apiPort)
            }
        }
        #expect(cited > ids.count / 2, "\(state): \(cited) citations of \(ids.count) answers")
        return again
    }

    /// An answer that cites something is told to be gone, with what retention did; one that cites nothing needs no event.
    func expectAllToBeGone() throws {
        var gone = 0
        for id in ids.sorted() {
            let reply = try HTTPClient().request(
                HTTPClientRequest(url: "\(api.url)/answers/\(id)/trace"), timeoutMilliseconds: 30_000)
            let body = try JSONValue.parse(reply.body, maxDepth: 64)
            guard reply.status == 410 else {
                #expect(reply.status == 200 && body["citations"]?.array?.isEmpty == true, "\(body)")
                continue
            }
            gone += 1
            let words = body["error"]?["message"]?.string ?? ""
            let time = CivilTime.rfc3339(MovedLake.givenUpMilliseconds)
            #expect(words.contains("expired by retention at \(time) (older than 30d)"), "\(words)")
        }
        #expect(gone > ids.count / 2)
    }

    private static func expectTimesToAddUp(_ times: JSONValue?, hasLake: Bool) {
        func at(_ step: String) -> Int64? { times?[step]?.string.flatMap { CivilTime.epochMilliseconds($0) } }
        // Where all vectors were there already, nobody embedded.
        let steps = ["event", "received", "broker", "indexed"] + (hasLake ? ["committed"] : [])
        for step in steps { #expect(at(step) != nil, "\(step)") }
        if let broker = at("broker"), let committed = at("committed"), let indexed = at("indexed") {
            let within = times?["committed_within_ms"]?.integer ?? -1
            #expect((0..<60_000).contains(within) && committed >= broker && committed <= indexed, "\(times ?? .null)")
        }
        let sum = (times?["steps"]?.array ?? []).reduce(0) { $0 + ($1["ms"]?.integer ?? 0) }
        let last = ["searchable", "indexed"].lazy.compactMap(at).first
        #expect(at("event").flatMap { event in last.map { $0 - event } } == sum, "\(times ?? .null)")
    }

    /// The document's event leads to the document in every generation, and to the answers that cite it.
    func expectImpact(of docID: String, generations: [Int64]) throws {
        let document = try deployment.api.get("/trace/\(docID)")
        let record = try #require(document["bronze"]?[0])
        let place =
            "topic=\(record["topic"]?.string ?? "")&partition=\(record["partition"]?.integer ?? -1)&offset="
            + "\(record["offset"]?.integer ?? -1)"
        let impact = try deployment.api.get("/impact?" + place)
        #expect(impact["generations"]?.array?.map { $0["generation"]?.integer ?? 0 } == generations, "\(impact)")
        #expect(impact["documents"]?.array?.allSatisfy { $0["doc_id"]?.string == docID } == true)
        let touched = Set((impact["answers"]?.array ?? []).compactMap { $0["answer_id"]?.string })
        let citing = Set((document["answers"]?.array ?? []).compactMap { $0["answer_id"]?.string })
        #expect(!touched.isEmpty && touched.isSuperset(of: citing), "\(touched) \(citing)")
        let same = try deployment.api.get("/impact?event_id=\(docID)")
        #expect(same["documents"] == impact["documents"])
        let title = try #require(document["gold"]?["record"]?["title"]?.string)
        let page = try deployment.api.get(
            "/impact?collection=\(document["collection"]?.string ?? "")&title=" + title.replacing(" ", with: "%20"))
        #expect(page["documents"]?.array?.contains { $0["doc_id"]?.string == docID } == true, "\(page)")
    }

    /// Does something while a pruned generation's lines are not there.
    func without<R>(_ folders: [String], _ body: () throws -> R) throws -> R {
        let aside = folders.enumerated().map { deployment.file("aside-\($0.offset)") }
        for (folder, place) in zip(folders, aside) {
            guard rename(folder, place) == 0 else { throw PipelineFailure("\(folder) cannot be moved: \(errno)") }
        }
        defer { for (folder, place) in zip(folders, aside) { rename(place, folder) } }
        return try body()
    }
}

extension JSONValue {
    fileprivate subscript(_ index: Int) -> JSONValue? {
        guard let array, array.indices.contains(index) else { return nil }
        return array[index]
    }
}
