import Arms
import Bytes
import Health
import Records
import Retrieval
import Store

/// The second level: what another server found.
extension ReplyCaches {
    /// The name of a reply that servers of one database share; nil where there is no second level, or the database is not known.
    private func name(of key: ReplyKey, _ kind: String, _ tenant: TenantID) -> (second: SecondCache, name: String)? {
        guard let second, key.mayRead, key.mayKeep, let database = reader?.database(of: tenant) else { return nil }
        return (second, Self.name(database, kind, key.text))
    }

    private static func name(_ database: String, _ kind: String, _ key: String) -> String {
        "\(database) \(kind) \(key)"
    }

    /// Gives up an answer that is no longer kept in the database, so that no server adopts it again.
    func forgetAnswer(_ key: String, _ tenant: TenantID) {
        answers.remove(key)
        guard let second, let database = reader?.database(of: tenant) else { return }
        second.remove(Self.name(database, "answer", key))
    }

    /// What another server found, where it still holds here.
    fileprivate func adopted(
        _ key: ReplyKey, _ kind: String, _ request: SearchRequest, _ query: (ResultSeed) -> CandidateQuery
    ) async -> (reply: SharedReply, watched: WatchedResult, ageMilliseconds: Int64)? {
        guard let (second, name) = self.name(of: key, kind, request.filter.scope.tenant),
            let bytes = await second.value(for: name), let reply = SharedReply(json: bytes)
        else { return nil }
        let age = max(0, SystemClock.epochMilliseconds() - reply.madeAtMilliseconds)
        guard age <= Int64(millisecondsMax),
            let watched = reader?.adopt(reply.seed, of: query(reply.seed), generation: reply.generation),
            watched.version >= request.indexVersionMin ?? watched.version
        else { return nil }
        second.served(ageMilliseconds: age)
        return (reply, watched, age)
    }

    /// Lets other servers have a reply.
    fileprivate func share(
        _ key: ReplyKey, _ kind: String, _ result: SearchResult, _ seed: ResultSeed?, of tenant: TenantID,
        _ complete: @escaping @Sendable (inout SharedReply) -> Void
    ) {
        guard let seed, let (second, name) = self.name(of: key, kind, tenant) else { return }
        var reply = SharedReply(
            madeAtMilliseconds: SystemClock.epochMilliseconds(), generation: result.generation, notes: result.notes,
            isReranked: result.reranking == .done, seed: seed)
        complete(&reply)
        guard let database = reader?.database(of: tenant) else { return }
        let uses = ReplyUses(
            database: database, isAnswer: reply.answer != nil, passages: seed.shown.passages,
            answers: Set([reply.answer?.id].compactMap { $0 }))
        second.keep(for: name, keptMilliseconds: millisecondsMax, uses) { [reply] in reply.json() }
    }
}

extension SharedReply {
    /// The result that it tells of, without what was found.
    fileprivate func result(_ formula: Ranking, _ freshness: Freshness, _ watched: WatchedResult) -> SearchResult {
        SearchResult(
            ranking: [], rest: [], generation: generation, indexVersion: seed.version, vector: nil, formula: formula,
            likeness: nil, notes: notes, reranking: isReranked ? .done : nil, freshness: freshness)
    }
}

extension Search {
    /// A reply that another server found and that still holds; it is kept here, too.
    func adopted(_ key: ReplyKey?, _ request: SearchRequest, since start: Int64) async -> [UInt8]? {
        guard let caches, let key,
            let found = await caches.adopted(
                key, "search", request, { query(of: request, documentLimit: request.topK, vector: $0.vector) }),
            let hits = found.reply.hits
        else { return nil }
        let rendered = RenderedSearch(
            hits: hits,
            result: found.reply.result(formula(of: request), freshness(request.filter.scope.tenant), found.watched),
            nextCursor: found.reply.nextCursor)
        caches.searches.keep(
            rendered, for: key.text, bytes: rendered.bytes + key.text.utf8.count, found.watched,
            ageMilliseconds: found.ageMilliseconds)
        let use = CachedUse(ageMilliseconds: found.ageMilliseconds, version: found.watched.version)
        return body(of: rendered, request, since: start, use)
    }

    /// Keeps a reply here, and for other servers.
    func keep(_ rendered: RenderedSearch, of result: SearchResult, _ key: ReplyKey, _ tenant: TenantID) -> Bool {
        guard let caches, key.mayKeep, var watched = result.watched, result.mayBeKept else { return false }
        let seed = watched.seed
        watched.seed = nil
        caches.searches.keep(rendered, for: key.text, bytes: rendered.bytes + key.text.utf8.count, watched)
        caches.share(key, "search", result, seed, of: tenant) { reply in
            (reply.hits, reply.nextCursor) = (rendered.hits, rendered.nextCursor)
        }
        return true
    }
}

extension Answers {
    /// An answer that another server gave and that still holds; it is kept here, too.
    func adopted(_ key: ReplyKey?, _ input: AnswerRequest) async -> MadeAnswer? {
        let start = SystemClock.monotonicNanoseconds()
        guard let caches, let key,
            let found = await caches.adopted(
                key, "answer", input.search, { search.query(of: input.search, documentLimit: nil, vector: $0.vector) }),
            let shared = found.reply.answer, let sentences = shared.spoken,
            let snippets = try? search.snippets(for: input.search)
        else { return nil }
        let tenant = input.search.filter.scope.tenant
        let now = freshness(tenant)
        var made = MadeAnswer(
            id: shared.id, request: input,
            answer: Answer(
                sentences: sentences, citations: [], isRefused: shared.isRefused, support: AnswerSupport()),
            use: AnswererUse(name: shared.name, model: shared.model, form: .json),
            result: found.reply.result(search.formula(of: input.search), now, found.watched),
            latencyNanoseconds: 0, snippets: snippets)
        made.text = (shared.sentences, shared.citations)
        caches.answers.keep(
            made, for: key.text, bytes: made.bytes + key.text.utf8.count, found.watched,
            ageMilliseconds: found.ageMilliseconds)
        hits.note(made.id, of: tenant) { caches.forgetAnswer(key.text, tenant) }
        let use = CachedUse(ageMilliseconds: found.ageMilliseconds, version: found.watched.version)
        return made.again(use, to: input, now, nanoseconds: SystemClock.monotonicNanoseconds() - start)
    }

    /// Keeps an answer here, and for other servers.
    ///
    /// - Returns: whether it is kept.
    func keep(_ made: MadeAnswer, for key: ReplyKey?) throws -> Bool {
        guard let caches, let key, key.mayKeep, made.mayBeKept, var watched = made.result.watched else { return false }
        let kept = try made.kept()
        let seed = watched.seed
        watched.seed = nil
        caches.answers.keep(kept, for: key.text, bytes: kept.bytes + key.text.utf8.count, watched)
        caches.share(key, "answer", made.result, seed, of: made.request.search.filter.scope.tenant) { reply in
            guard let text = kept.text else { return }
            reply.answer = SharedReply.SharedAnswer(
                id: kept.id, sentences: text.sentences, citations: text.citations, isRefused: kept.answer.isRefused,
                name: kept.use.name, model: kept.use.model)
        }
        return true
    }
}
