import Bytes
import Concurrency
import Console
import JSONScan
import ServiceLifecycle
import Settings

/// After the demo's time: one search, one answer, one trace, through the HTTP API as anyone would. Ends the group.
struct DemoCheck: Service {
    let name = "check"
    let endsGroup = true
    let settings: Settings
    let seconds: Int

    /// How long the pipeline may take beyond the demo's time until something can be found.
    private static let patienceMilliseconds = 30_000
    /// Recent documents that are tried as the subject of a question.
    private static let subjectsMax = 40

    func run(stop: StopSignal) async throws {
        if await stop.pause(milliseconds: seconds * 1_000) { return }
        let api = APIClient(settings: settings)
        let report = try await Lane(name: "check").run { try Self.check(api, stop: stop) }
        Output.print(report)
    }

    private static func check(_ api: APIClient, stop: StopSignal) throws -> String {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(patienceMilliseconds) * 1_000_000
        while true {
            do {
                return try attempt(api)
            } catch {
                guard SystemClock.monotonicNanoseconds() < deadline else { throw error }
                if stop.sleep(milliseconds: 1_000) { throw error }
            }
        }
    }

    private static func attempt(_ api: APIClient) throws -> String {
        let recent = try api.get("/events/recent?limit=\(subjectsMax)")
        let newest = recent["events"]?.array ?? []
        // English first, which most people who watch a demo can read.
        let documents = newest.filter { $0["lang"]?.string == "en" } + newest.filter { $0["lang"]?.string != "en" }
        guard !documents.isEmpty else { throw Failure("demo: no document has been indexed") }
        var last = Failure("demo: no question about the newest documents was answered")
        // Not every edit says something that a question can be asked about: the summary may be empty.
        for document in documents {
            guard let title = document["title"]?.string, let text = document["text"]?.string,
                text.count > title.count + 12
            else { continue }
            do {
                return try story(api, title: title, text: text)
            } catch let error as Failure {
                last = error
            }
        }
        throw last
    }

    private static func story(_ api: APIClient, title: String, text: String) throws -> String {
        let query = String(text.prefix(200))
        let search = try api.post("/search", body(query, topK: 5))
        guard let hit = search["hits"]?.array?.first else { throw Failure("demo: no hit for “\(query)”") }
        let answer = try api.post("/answer", body(query, topK: 5))
        guard answer["refused"]?.bool == false, let citation = answer["citations"]?.array?.first else {
            throw Failure("demo: no answer to “\(query)”")
        }
        guard let cited = citation["doc_id"]?.string ?? hit["doc_id"]?.string else {
            throw Failure("demo: a citation without its document")
        }
        let trace = try api.get("/trace/" + APIClient.segment(cited))
        guard trace["complete"]?.bool == true else { throw Failure("demo: the trace of \(cited) is not complete") }
        return """

            — search: \(query)
            \(Rendering.hits(search))
            — answer: \(query)
            \(Rendering.answer(answer))
            — trace: \(cited)
            \(Rendering.trace(trace))
            search, answer and trace succeeded

            """
    }

    private static func body(_ query: String, topK: Int) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("query", query)
        json.integer("top_k", topK)
        json.endObject()
        return json.bytes
    }
}
