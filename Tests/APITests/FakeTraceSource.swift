import API
import Bytes
import IndexTesting
import JSONScan
import Records
import Retrieval

/// Traces out of a ``FakeIndex``.
final class FakeTraceSource: TraceSource {
    private let index: FakeIndex

    init(index: FakeIndex) {
        self.index = index
    }

    func trace(
        docID: String, collection: String?, tenant: TenantID, generation: Int64?, reach: TraceReach,
        timeoutMilliseconds: Int
    ) throws -> Trace? {
        if let failure = index.state.withLock({ $0.failure }) { throw failure }
        let isDistant = index.state.withLock { $0.distantTrace == docID }
        try hang(docID, isDistant && reach == .far, timeoutMilliseconds)
        let (rows, isTampered) = index.state.withLock { state in
            (
                state.documents.filter {
                    $0.tenant == tenant && $0.row.docID == docID && $0.row.collection == collection ?? $0.row.collection
                },
                state.isLakeTampered
            )
        }
        let collections = Set(rows.map(\.row.collection)).sorted()
        guard collections.count < 2 else { throw AmbiguousDocument(collections: collections) }
        guard let found = rows.first else { return nil }
        var value = found.rawEvent
        if isTampered { value[value.count - 2] = UInt8(ascii: " ") }
        let location = LakeLocation(
            file:
                "bronze/topic=\(found.topic)/partition=0/date=2026-11-21/hour=06/00000000000000001000.jsonl.zst",
            frameOffset: 40_960, frameLength: 18_234, lineOffset: 713)
        var line = JSONWriter()
        line.beginObject()
        line.key("doc_id")
        line.string(docID)
        line.key("title")
        line.string(found.row.title)
        line.key("text")
        line.string(found.row.text)
        line.key("lineage")
        line.raw(found.row.lineageJSON)
        line.endObject()
        var lake = location
        lake.file = "gold/generation=1/" + location.file.dropFirst(7)
        let sha256 = FakeIndex.sha256(value)
        let causes = index.state.withLock { $0.traceCauses }
        var trace = Trace(
            docID: docID, collection: found.row.collection, version: 1, generation: generation ?? 1,
            indexVersion: found.indexVersion,
            logicVersion: "t1-4f2a", qualityFlags: [], rules: ["\(found.topic)@1"],
            passages: [
                TracePassage(
                    passage: 0, text: found.row.text, textHash: FakeIndex.sha256(Array(found.row.text.utf8)),
                    model: "all-MiniLM-L6-v2", fromVersion: found.indexVersion)
            ],
            gold: TraceLine(line: line.bytes, location: lake), silver: TraceLine(line: line.bytes, location: lake),
            bronze: [
                TraceBronze(
                    topic: found.topic, partition: 0, offset: found.offset,
                    timestampMilliseconds: found.indexedAtMilliseconds - 200,
                    key: Array("enwiki:\(found.row.title)".utf8),
                    headers: [("ingest_time_ms", Array("1700000000000".utf8)), ("nothing", nil)], value: value,
                    sha256: sha256, lineageSHA256: FakeIndex.sha256(found.rawEvent), location: location)
            ],
            problems: isTampered ? ["the payload at \(found.topic)[0] offset \(found.offset) was changed"] : [])
        trace.problems += causes.map { _ in "a line cannot be read" }
        trace.causes = causes
        trace.isShort = isDistant
        return trace
    }

    /// As a trace does that waits for something to the end of its time.
    private func hang(_ docID: String, _ isFar: Bool, _ timeoutMilliseconds: Int) throws {
        let isHanging = index.state.withLock { state in
            if state.hangingTrace == docID { state.hangingTraces += 1 }
            if isFar { state.distantTraces += 1 }
            return isFar || state.hangingTrace == docID
        }
        guard isHanging else { return }
        sleepMilliseconds(timeoutMilliseconds)
        throw FakeFailure()
    }

    func trace(
        answerID: String, tenant: TenantID, reach: TraceReach, timeoutMilliseconds: Int
    ) throws -> AnswerTrace? {
        if let failure = index.state.withLock({ $0.failure }) { throw failure }
        let (answer, isExpired) = index.state.withLock { state in
            (state.answers.first { $0.id == answerID && $0.tenant == tenant }, state.isLakeExpired)
        }
        guard let answer else { return nil }
        let reply = try JSONValue.parse(answer.replyJSON)
        var trace = AnswerTrace(answer: answer, hits: 0, sentences: [], citations: [], problems: [])
        trace.sentences = (reply["sentences"]?.array ?? []).map {
            ($0["text"]?.string ?? "", ($0["citations"]?.array ?? []).compactMap(\.integer))
        }
        for citation in reply["citations"]?.array ?? [] {
            guard
                var found = try self.trace(
                    docID: citation["doc_id"]?.string ?? "", collection: citation["collection"]?.string, tenant: tenant,
                    generation: nil, reach: reach, timeoutMilliseconds: timeoutMilliseconds)
            else { continue }
            if isExpired { found.expiry = "bronze offsets 0..<9 expired by retention (older than 1d)" }
            trace.citations.append(
                TraceCitation(
                    number: citation["n"]?.integer ?? 0, passage: 0, text: found.passages.first?.text,
                    snippet: citation["snippet"]?.string ?? "", trace: found))
        }
        return trace
    }

    func impact(
        of target: ImpactTarget, tenant: TenantID, limit: Int, showsSuppressed: Bool, timeoutMilliseconds: Int
    ) throws -> Impact {
        if let failure = index.state.withLock({ $0.failure }) { throw failure }
        let (documents, answers) = index.state.withLock { ($0.documents.filter { $0.tenant == tenant }, $0.answers) }
        let found = documents.filter { document in
            switch target {
            case .record(let source, let offset):
                source.topic == document.topic && source.partition == 0 && offset == document.offset
            case .event(let id): id == document.row.docID
            case .page(let collection, let title, _):
                document.row.collection == collection && document.row.title == title
            case .user(let user, _): document.row.recentChange?.user == user
            }
        }
        let ids = Set(found.map(\.row.docID))
        let suppressed = index.state.withLock { $0.suppressed }
        let shown = found.filter { showsSuppressed || !suppressed.contains($0.row.docID) }
        return Impact(
            documents: shown.prefix(limit).map { document in
                ImpactDocument(
                    collection: document.row.collection, docID: document.row.docID, title: document.row.title,
                    contentHash: "", generation: 1, version: 1, fromVersion: document.indexVersion, toVersion: nil,
                    source: TopicPartition(topic: document.topic, partition: 0), sourceOffset: document.offset,
                    passageIDs: [document.row.passageID], isSuppressed: suppressed.contains(document.row.docID))
            },
            answers: answers.filter { $0.tenant == tenant }.flatMap { answer in
                answer.documents.filter { ids.contains($0.docID) }.map { source in
                    ImpactAnswer(
                        id: answer.id, question: answer.question, createdAtMilliseconds: answer.createdAtMilliseconds,
                        generation: answer.generation, hits: 0, collection: source.collection, docID: source.docID,
                        isCited: source.isCited, isExact: true)
                }
            }, areDocumentsCut: found.count > limit, areAnswersCut: false)
    }
}
