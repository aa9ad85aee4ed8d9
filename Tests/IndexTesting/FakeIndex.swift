package import Bytes
import Glibc
import Hashing
package import Records
package import Retrieval
package import Synchronization

/// An index and a lake in memory that behave as the real ones: both arms with filters, index versions, traces with
/// hashes. Vectors are bags of hashed words, so that texts with words in common come close.
package final class FakeIndex: Sendable {
    package struct Document: Sendable {
        package var row: Candidate
        package var tenant: TenantID
        /// Of its raw event.
        package var topic: String
        package var indexVersion: Int64
        package var indexedAtMilliseconds: Int64
        package var rawEvent: [UInt8]
        package var offset: Int64
    }

    package struct State: Sendable {
        package var documents: [Document] = []
        package var answers: [StoredAnswer] = []
        /// By the answer's id.
        package var feedback: [String: [AnswerFeedback]] = [:]
        /// How often answers were given again, by id.
        package var hits: [String: Int64] = [:]
        package var indexVersion: Int64 = 0
        package var generation: Int64 = 1
        /// Those that were active before and are kept.
        package var previousGenerations: Set<Int64> = []
        /// Thrown by the next so many calls.
        package var failures = 0
        /// Thrown by every call while it is set.
        package var failure: (any Error)?
        /// Each call of the store blocks so long.
        package var delayMilliseconds = 0
        package var opened = 0
        /// Each search through the index with filters works so long, and each exact one, until it is stopped.
        package var filteredDelayMilliseconds = 0
        package var exactDelayMilliseconds = 0
        /// Exact searches end at their limit, also where they are stopped.
        package var isExactDeaf = false
        /// Searches for this text take as long as those with filters.
        package var slowText = ""
        /// The vector arm always finds too few, so that an exact search follows.
        package var isVectorArmShort = false
        /// What the index search finds is in another order than what an exact one does.
        package var isIndexOrderReversed = false
        /// Kinds of searches in the order in which they began.
        package var scans: [CandidateQuery.VectorScan] = []
        /// The time that each exact search had, and each look at the status.
        package var exactTimeouts: [Int] = []
        package var statusTimeouts: [Int] = []
        /// The index search looks at all that the filters leave.
        package var isIndexExact = false
        /// Rows that the list of the newest walks at most.
        package var recentRowsMax = Int.max
        /// The document whose trace hangs until its time is over, and one that does so where it goes far.
        package var hangingTrace: String?, distantTrace: String?
        package var hangingTraces = 0, distantTraces = 0
        /// Calls that were stopped from outside.
        package var interrupted = 0
        /// What goes wrong with reading the lake, and the documents that are kept out of replies.
        package var traceCauses: [String] = [], suppressed: Set<String> = []
        /// Whether retention gave the events of answers up.
        package var isLakeExpired = false
        /// A changed byte in every raw event.
        package var isLakeTampered = false

        package func serves(_ wanted: Int64?) -> Bool {
            wanted.map { $0 == generation || previousGenerations.contains($0) } ?? true
        }
    }

    package let state = Mutex(State())

    package init() {}

    package func makeStore() -> FakeStore {
        state.withLock { $0.opened += 1 }
        return FakeStore(index: self)
    }

    /// Makes one event searchable, as one index transaction.
    package func add(
        _ docID: String, title: String, comment: String, wiki: String = "enwiki", language: String = "en",
        type: String = "edit", user: String = "Ann", isBot: Bool = false, eventTime: Int64? = nil,
        indexedAgoMilliseconds: Int64 = 0, namespace: Int64? = 0, collection: String = "wikimedia.recentchange",
        others: AttributeList = AttributeList(), isChange: Bool = true, tenant: TenantID = .standard,
        topic: String = "wikimedia.recentchange"
    ) {
        let now = SystemClock.epochMilliseconds() - indexedAgoMilliseconds
        let time = eventTime ?? now - 400
        state.withLock { state in
            state.indexVersion += 1
            let offset = Int64(state.documents.count) + 1_000
            let event = Self.event(
                id: docID, title: title, comment: comment, wiki: wiki, user: user, type: type, time: time)
            let hash = Self.sha256(event)
            var lineage = JSONWriter()
            lineage.beginObject()
            lineage.key("logic_version")
            lineage.string("t1-4f2a")
            lineage.key("parents")
            lineage.beginArray()
            lineage.beginObject()
            lineage.key("topic")
            lineage.string(topic)
            lineage.key("partition")
            lineage.integer(0)
            lineage.key("offset")
            lineage.integer(offset)
            lineage.key("event_id")
            lineage.string(docID)
            lineage.key("bronze_sha256")
            lineage.string(hash)
            lineage.endObject()
            lineage.endArray()
            lineage.endObject()
            var attributes = AttributeList([
                .wiki: .string(wiki), .type: .string(type), .user: .string(user), .isBot: .bool(isBot),
            ])
            if let namespace { attributes.set(.namespace, .integer(namespace)) }
            others.forEach { attributes.set($0, $1) }
            let row = Candidate(
                docID: docID, version: 1, passage: 0, collection: collection, title: title,
                url: "https://\(language).wikipedia.org/wiki/\(docID)",
                text: "\(title): \(comment) (\(type) by \(user) on \(language).wikipedia.org, +12 bytes)",
                eventTimeMilliseconds: time, language: language, attributes: isChange ? attributes : others,
                lineageJSON: lineage.bytes, vector: nil, lexical: nil, passageID: offset)
            state.documents.append(
                Document(
                    row: row, tenant: tenant, topic: topic, indexVersion: state.indexVersion,
                    indexedAtMilliseconds: now, rawEvent: event,
                    offset: offset))
        }
    }

    private static func event(
        id: String, title: String, comment: String, wiki: String, user: String, type: String, time: Int64
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("$schema")
        writer.string("/mediawiki/recentchange/1.0.1")
        writer.key("meta")
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("dt")
        writer.string(CivilTime.rfc3339(time))
        writer.key("domain")
        writer.string("en.wikipedia.org")
        writer.endObject()
        writer.key("type")
        writer.string(type)
        writer.key("title")
        writer.string(title)
        writer.key("comment")
        writer.string(comment)
        writer.key("user")
        writer.string(user)
        writer.key("wiki")
        writer.string(wiki)
        writer.key("length")
        writer.raw(Array(#"{"old":100,"new":112}"#.utf8))
        writer.endObject()
        return writer.bytes
    }

    package static func sha256(_ bytes: [UInt8]) -> String {
        guard var hasher = try? SHA256Hasher() else { return "" }
        return bytes.withUnsafeBytes { buffer in (try? hasher.hash(buffer))?.hex ?? "" }
    }

    /// L2-normalised.
    package static func embed(_ text: String) -> [Float] {
        var vector = [Float](repeating: 0, count: 256)
        for word in Words.content(text) { vector[Int(StableHash.of(Array(word.utf8)) % 256)] += 1 }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? vector.map { $0 / length } : vector
    }
}

package struct FakeFailure: Error, CustomStringConvertible {
    package init() {}

    package var description: String { "connection to \"/tmp/.s.PGSQL.5432\" refused" }
}

/// One connection to a ``FakeIndex``.
package final class FakeStore: RetrievalStore {
    let index: FakeIndex

    package init(index: FakeIndex) {
        self.index = index
    }

    private let isInterrupted = Flag()

    private final class Flag: Sendable {
        let isSet = Mutex(false)
    }

    package var interruption: Interruption? {
        let flag = isInterrupted
        return Interruption(
            request: { flag.isSet.withLock { $0 = true } }, clear: { flag.isSet.withLock { $0 = false } },
            isRequested: { flag.isSet.withLock { $0 } })
    }

    /// Blocks, as a statement does that the server works on, until its time is over or it is stopped.
    ///
    /// - Parameter isDeaf: whether it ends at its limit just before it is stopped.
    private func work(milliseconds: Int, timeoutMilliseconds: Int, isDeaf: Bool = false) throws {
        for _ in 0..<min(milliseconds, timeoutMilliseconds) {
            usleep(1_000)
            guard isInterrupted.isSet.withLock({ $0 }), !isDeaf else { continue }
            index.state.withLock { $0.interrupted += 1 }
            throw FakeFailure()
        }
    }

    func enter(timeoutMilliseconds: Int) throws {
        let delay = try index.state.withLock { state -> Int in
            if let failure = state.failure { throw failure }
            if state.failures > 0 {
                state.failures -= 1
                throw FakeFailure()
            }
            return state.delayMilliseconds
        }
        if delay > 0 { usleep(UInt32(min(delay, timeoutMilliseconds)) * 1_000) }
        if delay > timeoutMilliseconds { throw FakeFailure() }
    }

    package func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        let delay = index.state.withLock { state in
            state.scans.append(query.vectorScan)
            if query.vectorScan == .exact {
                state.exactTimeouts.append(timeoutMilliseconds)
                return state.exactDelayMilliseconds
            }
            let isQuick = query.filter.takesAll && query.text != state.slowText
            return isQuick ? 0 : state.filteredDelayMilliseconds
        }
        let isDeaf = query.vectorScan == .exact && index.state.withLock { $0.isExactDeaf }
        try work(milliseconds: delay, timeoutMilliseconds: timeoutMilliseconds, isDeaf: isDeaf)
        if query.vectorScan == .exact, delay > timeoutMilliseconds {
            throw SearchBoundReached(milliseconds: timeoutMilliseconds)
        }
        return index.state.withLock { state in
            guard state.serves(query.generation) else {
                return CandidateSet(candidates: [], generation: 0, indexVersion: 0, isGenerationServed: false)
            }
            let limit = query.indexVersion ?? .max
            let visible = state.documents.filter {
                $0.tenant == query.filter.scope.tenant && $0.indexVersion <= limit && query.filter.matches($0.row)
                    && $0.offset != query.excludedDocument
            }
            var rows = visible.map(\.row)
            if let page = query.page {
                let found = page.compactMap { place -> Candidate? in
                    guard var row = rows.first(where: { $0.passageID == place.passageID }) else { return nil }
                    (row.vector, row.lexical, row.copies) = (place.vector, place.lexical, 0)
                    row.others = place.others
                    return row
                }
                var set = CandidateSet(
                    candidates: found, generation: query.generation ?? state.generation,
                    indexVersion: query.indexVersion ?? state.indexVersion)
                set.counts = query.counts(rows)
                return set
            }
            if let vector = query.vector, query.vectorLimit > 0 {
                let scored = rows.indices.map { ($0, cosine(FakeIndex.embed(rows[$0].text), vector)) }
                    .sorted { ($0.1, $1.0) > ($1.1, $0.0) }
                let isReversed = state.isIndexOrderReversed && query.vectorScan == .approximate
                let given = isReversed ? scored.reversed() : scored
                for (rank, (place, score)) in given.prefix(query.vectorLimit).enumerated() {
                    rows[place].vector = ArmPlace(rank: rank + 1, score: score)
                }
            }
            let wanted = Words.content(query.text)
            let matching = rows.indices.map { ($0, wanted.intersection(Words.content(rows[$0].text)).count) }
                .filter { $0.1 > 0 }.sorted { ($0.1, $1.0) > ($1.1, $0.0) }
            for (rank, (place, count)) in matching.prefix(query.lexicalLimit).enumerated() {
                rows[place].lexical = ArmPlace(rank: rank + 1, score: Double(count) / 10)
            }
            var set = CandidateSet(
                candidates: rows.filter { $0.vector != nil || $0.lexical != nil },
                generation: query.generation ?? state.generation,
                indexVersion: query.indexVersion ?? state.indexVersion,
                isVectorArmShort: state.isVectorArmShort && query.vectorScan == .approximate)
            set.counts = query.counts(rows)
            set.isVectorExact = state.isIndexExact
            return set
        }
    }

    package func likenesses(of target: LikeTarget, timeoutMilliseconds: Int) throws -> [Likeness] {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            let named = state.documents.filter { document in
                document.tenant == target.tenant && document.row.docID == target.docID
                    && target.collection.map { $0 == document.row.collection } ?? true
                    && target.passage.map { $0 == document.row.passage } ?? true
            }
            return named.map { document in
                let words = Words.content(document.row.text).filter { word in
                    state.documents.contains { other in
                        other.tenant == target.tenant && other.offset != document.offset
                            && Words.content(other.row.text).contains(word)
                    }
                }
                return Likeness(
                    collection: document.row.collection, language: document.row.language,
                    documentID: document.offset, vector: FakeIndex.embed(document.row.text),
                    words: Array(words.sorted().prefix(Likeness.wordsMax)), generation: state.generation,
                    indexVersion: state.indexVersion)
            }
        }
    }

    package func recent(_ query: RecentQuery, timeoutMilliseconds: Int) throws -> RecentPage {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            guard state.serves(query.generation) else {
                return RecentPage(documents: [], generation: 0, next: nil, isGenerationServed: false)
            }
            let generation = query.generation ?? state.generation
            let own = state.documents.filter { $0.tenant == query.filter.scope.tenant }
            let all = own.reversed().map {
                RecentDocument(
                    document: $0.row, indexVersion: $0.indexVersion, indexedAtMilliseconds: $0.indexedAtMilliseconds,
                    documentID: $0.offset)
            }
            let wanted = all.filter { document in
                document.indexVersion > query.afterIndexVersion ?? -1
                    && query.before.map { document.position < $0 } ?? true
            }
            let walked = wanted.prefix(state.recentRowsMax)
            let passing = walked.filter { query.filter.matches($0.document) }
            if passing.count > query.limit {
                let page = Array(passing.prefix(query.limit))
                return RecentPage(documents: page, generation: generation, next: page.last?.position)
            }
            let isCut = wanted.count > walked.count
            return RecentPage(
                documents: passing, generation: generation, next: isCut ? walked.last?.position : nil,
                isCutShort: isCut && passing.count < query.limit)
        }
    }

    package func status(timeoutMilliseconds: Int) throws -> IndexStatus {
        index.state.withLock { $0.statusTimeouts.append(timeoutMilliseconds) }
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            IndexStatus(
                generation: state.generation, indexVersion: state.indexVersion,
                indexedAtMilliseconds: state.documents.last?.indexedAtMilliseconds, serverVersion: "fake 1.0")
        }
    }

    package func save(_ answer: StoredAnswer, timeoutMilliseconds: Int) throws {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        try index.state.withLock { state in
            guard !state.answers.contains(where: { $0.id == answer.id }) else { throw FakeFailure() }
            state.answers.append(answer)
        }
    }

    package func count(_ hits: [AnswerHitCount], of tenant: TenantID, timeoutMilliseconds: Int) throws -> Set<String> {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            let kept = Set(state.answers.filter { $0.tenant == tenant }.map(\.id))
            for hit in hits where kept.contains(hit.id) { state.hits[hit.id, default: 0] += hit.number }
            return kept.intersection(hits.map(\.id))
        }
    }

    /// By number alone.
    package func tidyAnswers(_ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int) throws -> Int64 {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            guard state.answers.count > Int(clamping: bounds.rowsUntilDue) else { return 0 }
            let excess = state.answers.count - Int(clamping: bounds.rowsLeft)
            state.answers.removeFirst(excess)
            return Int64(excess)
        }
    }

    private func cosine(_ left: [Float], _ right: [Float]) -> Double {
        Double(zip(left, right).reduce(0) { $0 + $1.0 * $1.1 })
    }
}
