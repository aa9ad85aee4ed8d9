import Bytes
import Records
import Retrieval
import Text

extension JSONWriter {
    /// A hit of a search.
    ///
    /// - Parameters:
    ///   - request: says whether hits are groups.
    ///   - formula: of the scores, where hits say what theirs are made of.
    mutating func hit(
        _ hit: Hit, _ snippets: Snippets, of request: SearchRequest, explainedBy formula: Ranking?
    ) throws(TextError) {
        beginObject()
        try hitMembers(hit, snippets)
        if let grouping = request.options.grouping {
            key("group")
            beginObject()
            key("value")
            group(grouping.value(of: hit.candidate))
            integer("others", hit.others ?? 0)
            endObject()
        }
        if let formula { explanation(hit, formula) }
        endObject()
    }

    private mutating func group(_ value: AttributeValue?) {
        switch value {
        case nil: null()
        case .string(let text): string(text)
        case .integer(let number): integer(number)
        case .number(let number): double(number)
        case .bool(let flag): bool(flag)
        case .time(let milliseconds): string(CivilTime.rfc3339(milliseconds))
        }
    }

    /// The parts of a hit's score, which add up to it in their order.
    private mutating func explanation(_ hit: Hit, _ formula: Ranking) {
        let (candidate, parts) = (hit.candidate, hit.parts)
        key("explain")
        beginObject()
        double("rank_constant", formula.weights.rankConstant)
        key("parts")
        beginArray()
        part("vector", parts.vector, weight: formula.weights.vector, rank: .some(candidate.vector?.rank))
        part("lexical", parts.lexical, weight: formula.weights.lexical, rank: .some(candidate.lexical?.rank))
        if let recency = formula.options.recency {
            let age = Int64(formula.ageMilliseconds(of: candidate))
            part("recency", parts.recency, weight: recency.weight, ageMilliseconds: age)
        }
        if !formula.options.sourceWeights.isEmpty {
            part("source", parts.source, weight: formula.sourceWeight(of: candidate))
        }
        endArray()
        endObject()
    }

    private mutating func part(
        _ name: String, _ value: Double, weight: Double, rank: Int?? = nil, ageMilliseconds: Int64? = nil
    ) {
        beginObject()
        string("name", name)
        double("value", value)
        double("weight", weight)
        if let rank {
            key("rank")
            optional(rank.map { Int64($0) })
        }
        if let ageMilliseconds { integer("age_ms", ageMilliseconds) }
        endObject()
    }

    /// The members of a hit, which a citation has too.
    mutating func hitMembers(_ hit: Hit, _ snippets: Snippets) throws(TextError) {
        let candidate = hit.candidate
        identity(of: candidate)
        key("snippet")
        string(try snippets.snippet(of: candidate.text))
        key("event_time")
        time(candidate.eventTimeMilliseconds)
        key("scores")
        scores(hit)
        filterColumns(of: candidate)
        if let copies = candidate.copies {
            key("copies")
            integer(copies)
        }
        key("lineage")
        raw(candidate.lineageJSON)
    }

    mutating func identity(of candidate: Candidate) {
        key("doc_id")
        string(candidate.docID)
        key("version")
        integer(candidate.version)
        key("passage")
        integer(candidate.passage)
        key("title")
        string(candidate.title)
        key("url")
        string(candidate.url)
    }

    mutating func scores(_ hit: Hit) {
        beginObject()
        key("vector")
        optional(hit.candidate.vector?.score)
        key("lexical")
        optional(hit.candidate.lexical?.score)
        key("fused")
        double(hit.fusedScore)
        endObject()
    }

    /// What filters look at, so that a reader sees why a hit passed them. Documents of recent changes have some of their
    /// attributes as members, too, as they had from the beginning.
    mutating func filterColumns(of candidate: Candidate) {
        let change = candidate.recentChange
        key("collection")
        string(candidate.collection)
        if let change {
            key("wiki")
            string(change.wiki)
        }
        key("lang")
        string(candidate.language)
        if let change {
            key("type")
            string(change.type)
            key("user")
            string(change.user)
            key("is_bot")
            bool(change.isBot)
        }
        key("attributes")
        candidate.attributes.append(to: &self)
    }

    mutating func indexState(_ result: SearchResult) {
        key("generation")
        integer(result.generation)
        key("index_version")
        integer(result.indexVersion)
        freshness(result.freshness)
        if let age = result.ageMilliseconds { double("index_age_seconds", Double(age) / 1_000) }
    }

    /// The arms that could not run or did not end; nothing where there are none.
    mutating func missingArms(of result: SearchResult) {
        let notes = result.notes
        let members: [(name: String, arms: [(RankingNotes, String)])] = [
            ("missing_arms", [(.vectorMissing, "vector")]),
            ("incomplete_arms", [(.vectorIncomplete, "vector"), (.lexicalIncomplete, "lexical")]),
            ("bounded_arms", [(.vectorBounded, "vector"), (.lexicalBounded, "lexical")]),
        ]
        for (name, all) in members {
            let arms = all.filter { notes.contains($0.0) }.map(\.1)
            guard !arms.isEmpty else { continue }
            key(dynamic: name)
            beginArray()
            for arm in arms { string(arm) }
            endArray()
        }
    }
}
