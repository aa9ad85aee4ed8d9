import Bytes
import Postgres
import Records
import Retrieval

/// The values of a search: the same for all its statements.
struct SearchValues: Sendable {
    let query: CandidateQuery
    let words: WordLookup
    let filter: FilterBinding
    /// What a passage must have one of each, as far as it can be looked up.
    let narrowing: WordLookup.Forms

    init(query: CandidateQuery, words: WordLookup) {
        self.query = query
        self.words = words
        filter = FilterBinding(query.filter)
        narrowing = .narrowing(query.filter, words)
    }

    /// Whether filters or demands may leave few passages that can be looked up.
    var isNarrow: Bool {
        narrowing.count > 0 || query.filter.time.from != nil || query.filter.time.to != nil
    }

    func bind(_ parts: SearchSQL.Parts, into parameters: inout PostgresParameters) {
        parameters.append(query.generation)
        parameters.append(query.indexVersion)
        filter.bind(into: &parameters)
        parameters.append(Int64(max(0, min(query.vectorLimit, SearchSQL.armLimit))))
        parameters.append(Int64(max(0, min(query.lexicalLimit, parts.lexicalMax))))
        parameters.append(words.ranked.forms)
        parameters.append(query.filter.scope.tenant.text)
        parameters.append(query.documentLimit.map { Int64(max(0, $0)) })
        parameters.append(words.ranked.places)
        parameters.append(words.ranked.numbers)
        parameters.append(words.ranking.k1)
        parameters.append(words.ranking.b)
        if parts.vector != nil { parameters.append(halfVector: query.vector) }
        if parts.filters == .tested { filter.bindTests(into: &parameters) }
        if parts.isDemanding {
            parameters.append(words.demanded.forms)
            parameters.append(words.demanded.places)
            parameters.append(words.demanded.numbers)
        }
        if parts.isPage { parameters.append((query.page ?? []).map(\.passageID)) }
        query.ranking.bindWeights(into: &parameters)
        if parts.isRanked { query.ranking.bindOptions(into: &parameters) }
        if parts.isExcluding { parameters.append(query.excludedDocument) }
        if parts.isNarrow {
            parameters.append(narrowing.forms)
            parameters.append(narrowing.places)
        }
        if parts.isCounted { parameters.append((query.counted?.attributes ?? []).map(\.text)) }
        if parts.isPast { PastSQL.bind(query.past?.statistics, into: &parameters) }
    }
}

/// One row of a search: the snapshot, and a candidate unless nothing was found.
struct SearchRow {
    let generation: Int64
    let indexVersion: Int64
    /// The oldest index version that can be read.
    let oldestVersion: Int64
    /// The number of the generation's model; 0 where it has none.
    let model: Int32
    /// What the vector arm found, also what is not among the rows; see ``WaitingSQL/count(model:)``.
    let vectorCount: Int64
    /// Whether the word arm met a bound.
    let isLexicalBounded: Bool
    /// Whether all passages have their words in the index.
    let areWordsComplete: Bool
    /// Whether the vector arm looked at all that the filter leaves.
    var isVectorExact = false
    /// Whether more vectors wait for the graph than the vector arm compared.
    var isWaitingCut = false
    /// Nil where nothing was asked to be counted, and in all rows but the first.
    var counts: SearchCounts?
    /// The same of what was asked of words.
    var statistics: WordStatistics?
    /// Nil where nothing was found.
    var place: RankedPassage?
    /// Nil where it was not fetched.
    var candidate: Candidate?

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow {
        var found = SearchRow(
            generation: try row.int64(0), indexVersion: try row.int64(1), oldestVersion: try row.int64(2),
            model: try row.int32(3), vectorCount: try row.int64(4),
            isLexicalBounded: try row.bool(5), areWordsComplete: try row.bool(6), candidate: nil)
        found.isVectorExact = try row.bool(30)
        found.isWaitingCut = try row.bool(32)
        if !row.isNull(31) { found.counts = try SearchCounts(index: try row.json(31)) }
        if !row.isNull(33) {
            found.statistics = try row.json(33).withUnsafeBytes { WordStatistics(json: $0) }
        }
        guard let passageID = try row.int64OrNil(7) else { return found }
        var place = RankedPassage(passageID: passageID, vector: nil, lexical: nil)
        if let score = try row.doubleOrNil(8), let rank = try row.int64OrNil(9) {
            place.vector = ArmPlace(rank: Int(rank), score: score)
        }
        if let score = try row.doubleOrNil(10), let rank = try row.int64OrNil(11) {
            place.lexical = ArmPlace(rank: Int(rank), score: score)
        }
        let others = try row.int64OrNil(29).map { Int($0) }
        place.others = others ?? 0
        found.place = place
        guard !row.isNull(12) else { return found }
        var candidate = try CandidateColumns.decode(row, from: 12)
        (candidate.passageID, candidate.vector, candidate.lexical) = (passageID, place.vector, place.lexical)
        candidate.copies = try row.int64OrNil(28).map { Int($0) }
        candidate.others = others
        found.candidate = candidate
        return found
    }
}

/// Reads ``SearchSQL/columns``.
enum CandidateColumns {
    static func decode(_ row: borrowing PostgresRow, from first: Int) throws(PostgresError) -> Candidate {
        Candidate(
            docID: try row.text(first), version: try row.int64(first + 1), passage: try row.int32(first + 2),
            collection: try row.text(first + 3), title: try row.text(first + 4), url: try row.text(first + 5),
            text: try row.text(first + 6), eventTimeMilliseconds: try row.timestampMilliseconds(first + 7),
            language: try row.text(first + 8), attributes: try attributes(row, from: first + 9),
            lineageJSON: try row.json(first + 15), vector: nil, lexical: nil)
    }

    /// Those in columns and the others.
    static func attributes(
        _ row: borrowing PostgresRow, from first: Int
    ) throws(PostgresError) -> AttributeList {
        let json = try row.json(first + 5)
        var attributes = AttributeList()
        // Most rows have few others, or none.
        if json.count > 2 {
            guard let others = json.withUnsafeBytes({ try? AttributeList(json: $0) }) else {
                throw PostgresError(
                    kind: .decode, operation: "read attributes", server: "index", message: "no JSON object")
            }
            attributes = others
        }
        for (place, name) in [AttributeName.wiki, .type, .user].enumerated() {
            if let text = try row.textOrNil(first + place) { attributes.set(name, .string(text)) }
        }
        if !row.isNull(first + 3) { attributes.set(.isBot, .bool(try row.bool(first + 3))) }
        if let namespace = try row.int64OrNil(first + 4) { attributes.set(.namespace, .integer(namespace)) }
        return attributes
    }
}

extension SearchCounts {
    /// Reads what ``FacetSQL/counts(_:)`` says.
    init(index json: [UInt8]) throws(PostgresError) {
        self.init(documents: 0, isCut: false)
        var counts = self
        let isRead = json.withUnsafeBytes { bytes in
            (try? JSONLine.forEachMember(of: bytes) { name, value in
                switch name.string {
                case "documents": counts.documents = min(Int(value.integer ?? 0), SearchLimits.countedMax)
                case "is_cut": counts.isCut = value.bool ?? true
                case "facets": value.forEachElement { counts.facets += Facet(index: $0).map { [$0] } ?? [] }
                default: break
                }
            }) != nil
        }
        guard isRead else {
            throw PostgresError(kind: .decode, operation: "read counts", server: "index", message: "no JSON object")
        }
        self = counts
    }
}

extension SearchCounts.Facet {
    /// An attribute and its values, each with its number.
    fileprivate init?(index json: JSONSlice) {
        var attribute: AttributeName?
        var values: [Value] = []
        json.forEachMember { name, member in
            if name.equals("name") { attribute = member.string.flatMap { AttributeName($0) } }
            guard name.equals("values") else { return }
            member.forEachElement { pair in
                var (value, count): (AttributeValue?, Int64?)
                pair.forEachElement { part in
                    if value == nil { value = AttributeValue(part) } else { count = part.integer }
                }
                if let value, let count { values.append(Value(value, Int(count))) }
            }
        }
        guard let attribute else { return nil }
        self.init(
            attribute: attribute, values: Array(values.prefix(SearchLimits.facetValuesMax)),
            hasMore: values.count > SearchLimits.facetValuesMax)
    }
}
