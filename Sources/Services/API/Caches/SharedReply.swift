import Arms
import Bytes
import JSONScan
import Retrieval

/// A reply as servers share it: one JSON object. Whatever reads it trusts nothing.
struct SharedReply {
    var madeAtMilliseconds: Int64
    var generation: Int64
    var notes: RankingNotes
    var isReranked: Bool
    var seed: ResultSeed
    /// Of a search: its hits, an array, and where it goes on.
    var hits: [UInt8]?
    var nextCursor: String?
    /// Of an answer.
    var answer: SharedAnswer?

    /// What an answer says and who gave it.
    struct SharedAnswer {
        var id: String
        var sentences: [UInt8]
        var citations: [UInt8]
        var isRefused: Bool
        var name: String
        var model: String?

        /// The sentences, one by one; nil where they are none.
        var spoken: [AnswerSentence]? {
            guard let list = (try? JSONValue.parse(sentences))?.array else { return nil }
            let spoken = list.compactMap { item -> AnswerSentence? in
                guard let text = item["text"]?.string, let citations = item["citations"]?.array else { return nil }
                return AnswerSentence(text: text, citations: citations.compactMap { $0.integer.map { Int($0) } })
            }
            return spoken.count == list.count ? spoken : nil
        }
    }

    /// What it is written as.
    func json() -> [UInt8] {
        var writer = JSONWriter(capacity: 16_384)
        writer.beginObject()
        writer.integer("made_at", madeAtMilliseconds)
        writer.integer("generation", generation)
        writer.integer("notes", notes.rawValue)
        writer.bool("reranked", isReranked)
        writer.key("seed")
        writer.seed(seed)
        if let hits {
            writer.key("hits")
            writer.raw(hits)
            writer.key("next")
            writer.optional(nextCursor)
        }
        if let answer {
            writer.key("answer")
            writer.beginObject()
            writer.string("id", answer.id)
            writer.bool("refused", answer.isRefused)
            writer.string("name", answer.name)
            writer.key("model")
            writer.optional(answer.model)
            writer.key("sentences")
            writer.raw(answer.sentences)
            writer.key("citations")
            writer.raw(answer.citations)
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }

    /// Nil for what is not such an object.
    init?(json: [UInt8]) {
        // The same text twice: the tree for what is read, and ranges of bytes for what is passed on.
        guard let tree = try? JSONValue.parse(json), let made = tree["made_at"]?.integer,
            let generation = tree["generation"]?.integer, let notes = tree["notes"]?.integer,
            let isReranked = tree["reranked"]?.bool, let seed = tree["seed"].flatMap(ResultSeed.init(json:))
        else { return nil }
        madeAtMilliseconds = made
        self.generation = generation
        self.notes = RankingNotes(rawValue: UInt8(truncatingIfNeeded: notes))
        self.isReranked = isReranked
        self.seed = seed
        let parts = Self.parts(of: json)
        if tree["hits"]?.array != nil {
            hits = parts["hits"]
            nextCursor = tree["next"]?.string
        }
        guard let answer = tree["answer"] else { return }
        guard let id = answer["id"]?.string, let isRefused = answer["refused"]?.bool,
            let name = answer["name"]?.string, answer["sentences"]?.array != nil, answer["citations"]?.array != nil,
            let sentences = parts["sentences"], let citations = parts["citations"]
        else { return nil }
        self.answer = SharedAnswer(
            id: id, sentences: sentences, citations: citations, isRefused: isRefused, name: name,
            model: answer["model"]?.string)
    }

    init(
        madeAtMilliseconds: Int64, generation: Int64, notes: RankingNotes, isReranked: Bool, seed: ResultSeed
    ) {
        self.madeAtMilliseconds = madeAtMilliseconds
        self.generation = generation
        self.notes = notes
        self.isReranked = isReranked
        self.seed = seed
    }

    private static func parts(of json: [UInt8]) -> [String: [UInt8]] {
        var parts: [String: [UInt8]] = [:]
        func take(_ name: JSONSlice, _ value: JSONSlice) {
            guard let name = name.string, value.kind == .array else { return }
            parts[name] = Array(value.bytes)
        }
        let isRead: Bool = json.withUnsafeBytes { bytes in
            do throws(JSONLineError) {
                try JSONLine.forEachMember(of: bytes) { name, value in
                    if name.equals("answer") { value.forEachMember(take) } else { take(name, value) }
                }
                return true
            } catch {
                return false
            }
        }
        guard isRead else { return [:] }
        return parts
    }
}

extension JSONWriter {
    fileprivate mutating func seed(_ seed: ResultSeed) {
        beginObject()
        integer("version", seed.version)
        integer("stamp", seed.stamp)
        if let vector = seed.vector {
            key("vector")
            beginArray()
            for number in vector { double(Double(number)) }
            endArray()
        }
        key("places")
        places(seed.places)
        key("shown")
        places(seed.shown.places)
        bool("short", seed.shown.isShort)
        integer("depth", seed.shown.depth)
        if let counts = seed.counts {
            key("counts")
            beginArray()
            for number in [counts.passages, counts.length] + counts.words { double(number) }
            endArray()
        }
        endObject()
    }

    private mutating func places(_ places: [RankedPassage]) {
        beginArray()
        for place in places {
            beginArray()
            integer(place.passageID)
            for arm in [place.vector, place.lexical] {
                integer(arm?.rank ?? 0)
                double(arm?.score ?? 0)
            }
            endArray()
        }
        endArray()
    }
}

extension ResultSeed {
    private static let dimensionsMax = 4_096

    fileprivate init?(json: JSONValue) {
        guard let version = json["version"]?.integer, let stamp = json["stamp"]?.integer,
            let places = json["places"]?.array.flatMap(Self.places(_:)),
            let shown = json["shown"]?.array.flatMap(Self.places(_:)), let isShort = json["short"]?.bool,
            let depth = json["depth"]?.integer, (0...100).contains(depth)
        else { return nil }
        var vector: [Float]?
        if let numbers = json["vector"]?.array {
            let read = numbers.compactMap { $0.double.map { Float($0) } }.filter(\.isFinite)
            guard read.count == numbers.count, read.count <= Self.dimensionsMax else { return nil }
            vector = read
        }
        var counts: Counts?
        if let numbers = json["counts"]?.array {
            let read = numbers.compactMap(\.double)
            guard read.count == numbers.count, read.count >= 2 else { return nil }
            counts = Counts(words: Array(read[2...]), passages: read[0], length: read[1])
        }
        var all = ResultProbe.Shown(passages: Set(shown.map(\.passageID)), places: shown, isShort: isShort)
        all.depth = Int(depth)
        self.init(
            vector: vector, places: places, shown: all, counts: counts, version: version, stamp: stamp)
    }

    private static func places(_ list: [JSONValue]) -> [RankedPassage]? {
        guard list.count <= 2 * SearchLimits.rankedMax else { return nil }
        let places = list.compactMap { item -> RankedPassage? in
            guard let parts = item.array, parts.count == 5, let passage = parts[0].integer else { return nil }
            func arm(_ first: Int) -> ArmPlace?? {
                guard let rank = parts[first].integer, (0...1_000_000).contains(rank),
                    let score = parts[first + 1].double, score.isFinite
                else { return nil }
                return .some(rank == 0 ? nil : ArmPlace(rank: Int(rank), score: score))
            }
            guard let vector = arm(1), let lexical = arm(3) else { return nil }
            return RankedPassage(passageID: passage, vector: vector, lexical: lexical)
        }
        return places.count == list.count ? places : nil
    }
}
