import API
import Bytes
import JSONScan
import Retrieval
import Testing

@Suite struct AnswerTests {
    let fixture = APIFixture()

    init() {
        fixture.fill()
    }

    @Test func everySentenceIsCitedAndTheAnswerIsKept() async throws {
        let (status, body) = await fixture.post(
            .answer, #"{"query": "who repainted the golden gate bridge towers?", "debug": true}"#)
        #expect(status == 200)
        #expect(body["refused"]?.bool == false)
        let sentences = body["sentences"]?.array ?? []
        let citations = body["citations"]?.array ?? []
        #expect(sentences.first?["text"]?.string?.contains("repainted towers") == true)
        #expect(sentences.allSatisfy { !($0["citations"]?.array?.isEmpty ?? true) })
        #expect(citations.first?["n"]?.integer == 1)
        #expect(citations.first?["doc_id"]?.string == "d-bridge")
        #expect(Set(["n", "doc_id", "passage", "url"]).isSubset(of: Set(citations.first?.keys ?? [])))
        #expect(body["debug"]?.keys == ["arms", "support", "thresholds", "citation_check"])
        let stored = try #require(fixture.index.state.withLock { $0.answers.first })
        #expect(stored.id == body["answer_id"]?.string)
        #expect(stored.question == "who repainted the golden gate bridge towers?")
        #expect(stored.generation == 1 && stored.indexVersion == 5 && !stored.isRefused)
        #expect(try JSONValue.parse(stored.replyJSON) == body)
        #expect(try JSONValue.parse(stored.requestJSON)["mode"]?.string == "hybrid")
        #expect(try JSONValue.parse(stored.retrievedJSON)[0]?["doc_id"]?.string == "d-bridge")
    }

    @Test func weakSupportIsRefusedInTheseWords() async {
        let (status, body) = await fixture.post(.answer, #"{"query": "boiling point of mercury in kelvin"}"#)
        #expect(status == 200)
        #expect(body["refused"]?.bool == true)
        #expect(body["sentences"]?.array?.count == 1)
        #expect(body["sentences"]?[0]?["text"]?.string == "I don't have enough information.")
        #expect(body["citations"] == .array([]))
        #expect(body["debug"]?.isNull == true)
        #expect(fixture.index.state.withLock { $0.answers.first?.isRefused } == true)
    }

    @Test func anAnswerThatCannotBeKeptIsNotGiven() async {
        let fixture = APIFixture(lanes: 1)
        fixture.fill()
        _ = await fixture.post(.answer, #"{"query": "golden gate bridge"}"#)
        fixture.index.state.withLock { $0.failures = 1 }
        let (status, _) = await fixture.post(.answer, #"{"query": "golden gate bridge"}"#)
        #expect(status == 503)
    }

    @Test func switchedOffSaysSo() async {
        let (status, body) = await APIFixture(isAnswerEnabled: false).post(.answer, #"{"query": "x"}"#)
        #expect(status == 503)
        #expect(body["error"]?["message"]?.string?.contains("ANSWER_ENABLED") == true)
    }

    @Test func answersHaveNoPages() async {
        let (_, page) = await fixture.post(.search, #"{"query": "golden", "top_k": 1}"#)
        let (status, body) = await fixture.post(
            .answer, #"{"query": "golden", "cursor": "\#(page["next_cursor"]?.string ?? "")", "max_tokens": 0}"#)
        #expect(status == 422)
        #expect(body["error"]?["detail"]?.array?.count == 2)
    }
}

@Suite struct EventsTests {
    let fixture = APIFixture()

    @Test func newestFirstAndOnlyTheNewOnes() async {
        let (_, empty) = await fixture.get(.recent)
        #expect(empty["events"] == .array([]))
        #expect(empty["indexed_at"]?.isNull == true)
        fixture.fill()
        let (status, body) = await fixture.get(.recent, [("limit", "3")])
        #expect(status == 200)
        #expect(body["events"]?.array?.compactMap { $0["doc_id"]?.string } == ["d-bot", "d-hostile", "d-moskva"])
        #expect(body["pipeline"]?["source"]?.string == "recording")
        #expect(body["events"]?[0]?["lineage"]?["parents"]?[0]?["topic"]?.string == "wikimedia.recentchange")
        let version = String(body["index_version"]?.integer ?? -1)
        fixture.index.add("d-later", title: "Later", comment: "x")
        let (_, later) = await fixture.get(.recent, [("after", version)])
        #expect(later["events"]?.array?.compactMap { $0["doc_id"]?.string } == ["d-later"])
        let (_, filtered) = await fixture.get(.recent, [("wiki", "dewiki,ruwiki"), ("is_bot", "false")])
        #expect(filtered["events"]?.array?.compactMap { $0["doc_id"]?.string } == ["d-moskva"])
    }

    @Test func parametersAreChecked() async {
        let (status, body) = await fixture.get(
            .recent, [("limit", "many"), ("is_bot", "maybe"), ("colour", "red"), ("after", "-1"), ("after", "2")])
        #expect(status == 422)
        #expect(body["error"]?["detail"]?.array?.count == 5)
    }
}

@Suite struct TraceTests {
    let fixture = APIFixture()

    init() {
        fixture.fill()
    }

    @Test func leadsToTheVerbatimEvent() async {
        let (status, body) = await fixture.get(.trace, path: ["doc_id": "d-hostile"])
        #expect(status == 200)
        #expect(body["complete"]?.bool == true)
        let bronze = body["bronze"]?[0]
        #expect(bronze?["topic"]?.string == "wikimedia.recentchange")
        #expect(bronze?["partition"]?.integer == 0)
        #expect(bronze?["offset"]?.integer == 1_003)
        #expect(bronze?["hash_ok"]?.bool == true)
        let raw = fixture.index.state.withLock { $0.documents[3].rawEvent }
        #expect(Base64.bytes(Array((bronze?["value_base64"]?.string ?? "").utf8)) == raw)
        #expect(Array((bronze?["value"]?.string ?? "").utf8) == raw)
        #expect(body["gold"]?["record"]?["doc_id"]?.string == "d-hostile")
        #expect(body["gold"]?["frame_offset"]?.integer == 40_960)
        #expect(bronze?["headers"]?[1]?["value_base64"]?.isNull == true)
    }

    @Test func anAnswerLeadsToTheEventsOfItsSentences() async throws {
        let (_, answer) = await fixture.post(.answer, #"{"query": "who repainted the golden gate bridge towers?"}"#)
        let id = try #require(answer["answer_id"]?.string)
        let (status, body) = await fixture.get(.answerTrace, path: ["answer_id": id])
        #expect(status == 200 && body["complete"]?.bool == true, "\(body)")
        #expect(body["sentences"] == answer["sentences"])
        #expect(body["citations"]?.array?.count == answer["citations"]?.array?.count)
        let citation = body["citations"]?[0]
        #expect(citation?["n"]?.integer == 1 && citation?["doc_id"]?.string == "d-bridge")
        #expect(citation?["bronze"]?[0]?["hash_ok"]?.bool == true)
        #expect(citation?["gold"]?["derived_again"]?.bool == false)
        let commands = (citation?["commands"]?.array ?? []).compactMap { $0["tool"]?.string }
        #expect(Set(commands) == ["kcat", "medallion", "zstd", "curl", "psql"])
        let steps = citation?["times"]?["steps"]?.array ?? []
        #expect(steps.isEmpty && citation?["times"]?["total_ms"]?.isNull == true)
        #expect(await fixture.get(.answerTrace, path: ["answer_id": "ans_none"]).status == 404)

        fixture.index.state.withLock { $0.isLakeTampered = true }
        let (_, changed) = await fixture.get(.answerTrace, path: ["answer_id": id])
        #expect(
            changed["complete"]?.bool == false && changed["citations"]?[0]?["bronze"]?[0]?["hash_ok"]?.bool == false)
        fixture.index.state.withLock { $0.isLakeExpired = true }
        let (gone, reason) = await fixture.get(.answerTrace, path: ["answer_id": id])
        #expect(gone == 410 && reason["error"]?["message"]?.string?.contains("older than 1d") == true, "\(reason)")
    }

    @Test func anEventLeadsToWhatCameOfIt() async throws {
        let (_, answer) = await fixture.post(.answer, #"{"query": "who repainted the golden gate bridge towers?"}"#)
        let record = [("topic", "wikimedia.recentchange"), ("partition", "0"), ("offset", "1000")]
        let (status, body) = await fixture.get(.impact, record)
        #expect(status == 200, "\(body)")
        let id = try #require(body["documents"]?[0]?["doc_id"]?.string)
        #expect(body["documents"]?.array?.count == 1 && body["documents"]?[0]?["offset"]?.integer == 1_000)
        #expect(body["generations"]?[0]?["shown"]?.integer == 1 && body["truncated"]?.bool == false)
        let (_, same) = await fixture.get(.impact, [("event_id", id)])
        #expect(same["documents"] == body["documents"])
        let (_, bridge) = await fixture.get(.impact, [("event_id", "d-bridge")])
        #expect(
            bridge["answers"]?[0]?["answer_id"] == answer["answer_id"] && bridge["answers"]?[0]?["cited"]?.bool == true)
        #expect(await fixture.get(.impact, [("event_id", "none")]).status == 404)
        // One way at a time, and all of it.
        for wrong in [
            [], [("topic", "a")], [("topic", "a"), ("partition", "0")], [("title", "A")], [("offset", "1")],
            [("event_id", "a"), ("user", "b")], [("user", "a"), ("wiki", "enwiki")], record + [("collection", "c")],
        ] { #expect(await fixture.get(.impact, wrong).status == 422, "\(wrong)") }
    }

    @Test func changedBytesAreNoticed() async {
        fixture.index.state.withLock { $0.isLakeTampered = true }
        let (_, body) = await fixture.get(.trace, path: ["doc_id": "d-bridge"])
        #expect(body["complete"]?.bool == false)
        #expect(body["bronze"]?[0]?["hash_ok"]?.bool == false)
        #expect(body["problems"]?.array?.count == 1)
    }

    /// However many wait for the object storage: they wait on lanes of their own.
    @Test func tracesThatGoFarHoldUpNoOther() async throws {
        let fixture = APIFixture(timeoutMilliseconds: 4_000, configure: { $0.traceLanes = 1 })
        fixture.fill()
        fixture.index.state.withLock { $0.distantTrace = "d-tahoe" }
        let slow = (0..<3).map { _ in Task { await fixture.get(.trace, path: ["doc_id": "d-tahoe"]).status } }
        try await eventually { fixture.index.state.withLock { $0.distantTraces } == 1 }
        for _ in 0..<3 { #expect(await fixture.get(.trace, path: ["doc_id": "d-bridge"]).status == 200) }
        for task in slow { task.cancel() }
        for task in slow { #expect(await task.value == 503) }
    }

    /// Two collections may have documents of one id: then the collection must be named.
    @Test func documentsOfOneIDAreToldApartByTheirCollection() async {
        fixture.index.add("twice", title: "A", comment: "")
        fixture.index.add("twice", title: "B", comment: "", collection: "papers", isChange: false)
        let (status, body) = await fixture.get(.trace, path: ["doc_id": "twice"])
        let fault = body["error"]?["detail"]?[0]
        #expect(status == 422 && fault?["type"]?.string == "ambiguous")
        #expect(fault?["loc"]?.array?.compactMap(\.string) == ["query", "collection"])
        #expect(fault?["msg"]?.string?.contains("papers, wikimedia.recentchange") == true, "\(body)")
        let (found, trace) = await fixture.get(.trace, [("collection", "papers")], path: ["doc_id": "twice"])
        #expect(found == 200 && trace["collection"]?.string == "papers")
        #expect(await fixture.get(.trace, [("collection", "none")], path: ["doc_id": "twice"]).status == 404)
    }

    @Test func unknownDocumentsAreNotFound() async {
        let (status, body) = await fixture.get(.trace, path: ["doc_id": "nothing"])
        #expect(status == 404)
        #expect(body["error"]?["detail"]?[0]?["loc"] == .array([.string("path"), .string("doc_id")]))
        // An escape that decodes to U+0000 leads nowhere.
        let (invalid, _) = await fixture.get(.trace, path: ["doc_id": "a\0b"])
        #expect(invalid == 404)
    }
}
