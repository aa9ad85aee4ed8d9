import Bytes
import Postgres
import Records
import Retrieval

/// The values of a search: the same for all its statements.
struct SearchValues: Sendable {
    let query: CandidateQuery
    let words: WordLookup
    let filter: FilterBinding

    init(query: CandidateQuery, words: WordLookup) {
        self.query = query
        self.words = words
        filter = FilterBinding(query.filter)
    }

    func bind(_ parts: SearchSQL.Parts, into parameters: inout PostgresParameters) {
        parameters.append(query.generation)
        parameters.append(query.indexVersion)
        filter.bind(into: &parameters)
        parameters.append(Int64(max(0, min(query.vectorLimit, SearchSQL.armLimit))))
        parameters.append(Int64(max(0, min(query.lexicalLimit, SearchSQL.armLimit))))
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
    /// What the vector arm found, also what is not among the rows.
    let vectorCount: Int64
    /// Whether the word arm met a bound.
    let isLexicalBounded: Bool
    /// Whether all passages have their words in the index.
    let areWordsComplete: Bool
    /// Nil where nothing was found.
    var place: RankedPassage?
    /// Nil where it was not fetched.
    var candidate: Candidate?

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow {
        var found = SearchRow(
            generation: try row.int64(0), indexVersion: try row.int64(1), oldestVersion: try row.int64(2),
            model: try row.int32(3), vectorCount: try row.int64(4),
            isLexicalBounded: try row.bool(5), areWordsComplete: try row.bool(6), candidate: nil)
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
    private static func attributes(
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
