import Answering
import Bytes
import Health
import Retrieval
import Text

/// An answer and how it came about.
struct MadeAnswer: Sendable {
    let id: String
    var request: AnswerRequest
    let answer: Answer
    let use: AnswererUse
    var result: SearchResult
    var latencyNanoseconds: Int64
    let snippets: Snippets
    /// The members `sentences` and `citations`, once they were written.
    var text: (sentences: [UInt8], citations: [UInt8])?
    /// Where it was kept from an earlier question.
    var cached: CachedUse?

    /// - Parameter withText: whether sentences and citations are in it; otherwise it is the end of a stream, and a refusal says
    ///   what was missing.
    func reply(withText: Bool) throws -> [UInt8] {
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.key("answer_id")
        writer.string(id)
        if withText { try writeText(to: &writer) }
        writer.key("refused")
        writer.bool(answer.isRefused)
        writer.answerer(use)
        writer.indexState(result)
        writer.asOf(request.search.past)
        writer.cached(cached)
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: latencyNanoseconds)
        writer.missingArms(of: result)
        writer.interpreted(request.search.interpretation)
        writer.reranking(result.reranking)
        writer.key("debug")
        if request.isDebug || (!withText && answer.isRefused && isReasonKnown) {
            writer.debug(answer, use, result: cached == nil ? result : nil)
        } else {
            writer.null()
        }
        writer.endObject()
        return writer.bytes
    }

    /// False for what another server made: servers share what an answer says, and not what it was decided on.
    private var isReasonKnown: Bool { answer.support != AnswerSupport() || use.passages > 0 }

    func writeText(to writer: inout JSONWriter) throws {
        let text = try text ?? rendered()
        writer.key("sentences")
        writer.raw(text.sentences)
        writer.key("citations")
        writer.raw(text.citations)
    }

    private func rendered() throws -> (sentences: [UInt8], citations: [UInt8]) {
        var sentences = JSONWriter(capacity: 1_024)
        sentences.beginArray()
        for sentence in answer.sentences { sentences.sentence(sentence) }
        sentences.endArray()
        var citations = JSONWriter(capacity: 2_048)
        citations.beginArray()
        for citation in answer.citations {
            citations.beginObject()
            citations.key("n")
            citations.integer(citation.number)
            try citations.hitMembers(citation.hit, snippets)
            citations.endObject()
        }
        citations.endArray()
        return (sentences.bytes, citations.bytes)
    }
}

/// An answer that is kept for the next one who asks the same.
extension MadeAnswer {
    /// With its text written, and without what nobody reads again.
    func kept() throws -> MadeAnswer {
        var kept = self
        kept.text = try text ?? rendered()
        kept.result = result.bare
        return kept
    }

    /// As it is given again.
    ///
    /// - Parameter nanoseconds: how long that took.
    func again(_ use: CachedUse, to request: AnswerRequest, _ freshness: Freshness, nanoseconds: Int64) -> MadeAnswer {
        var again = self
        again.cached = use
        again.request = request
        again.result.freshness = freshness
        again.latencyNanoseconds = nanoseconds
        return again
    }

    /// Whether others may be given it: it is what an answerer says when all goes well. What `debug` shows is of one request.
    var mayBeKept: Bool {
        result.mayBeKept && !request.isDebug && use.fallbackFrom == nil && !use.isIncomplete
    }

    /// Memory that it takes while it is kept, roughly.
    var bytes: Int {
        let citations = answer.citations.reduce(0) { sum, citation in
            let candidate = citation.hit.candidate
            return sum + 1_024 + candidate.text.utf8.count + candidate.title.utf8.count + candidate.lineageJSON.count
        }
        return 2_048 + citations + (text.map { 2 * $0.sentences.count + $0.citations.count } ?? 0)
    }
}

/// The pieces in which an answer is streamed.
enum AnswerTokens {
    /// Words with the white space behind them; joined they are the text again.
    static func split(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        for character in text {
            word.append(character)
            if character.isWhitespace {
                words.append(word)
                word = ""
            }
        }
        if !word.isEmpty { words.append(word) }
        return words
    }
}

extension JSONWriter {
    fileprivate mutating func sentence(_ sentence: AnswerSentence) {
        beginObject()
        key("text")
        string(sentence.text)
        key("citations")
        beginArray()
        for number in sentence.citations { integer(number) }
        endArray()
        endObject()
    }

    fileprivate mutating func answerer(_ use: AnswererUse) {
        key("answerer")
        beginObject()
        string("name", use.name)
        key("model")
        optional(use.model)
        key("fallback_from")
        optional(use.fallbackFrom)
        key("reason")
        optional(use.reason?.rawValue)
        bool("incomplete", use.isIncomplete)
        endObject()
    }

    /// - Parameter result: nil where what was found is not kept.
    fileprivate mutating func debug(_ answer: Answer, _ use: AnswererUse, result: SearchResult?) {
        beginObject()
        if let ranking = result?.ranking {
            key("arms")
            beginObject()
            key("vector")
            integer(ranking.count { $0.candidate.vector != nil })
            key("lexical")
            integer(ranking.count { $0.candidate.lexical != nil })
            key("fused")
            integer(ranking.count)
            endObject()
        }
        support(answer.support)
        thresholds(AnswerThresholds())
        key("citation_check")
        beginObject()
        string("form", use.form.rawValue)
        integer("passages", use.passages)
        integer("attempts", use.attempts)
        key("dropped")
        beginObject()
        for fault in SupportFault.allCases {
            guard let number = use.dropped[fault] else { continue }
            key(dynamic: fault.rawValue)
            integer(number)
        }
        endObject()
        endObject()
        endObject()
    }

    private mutating func support(_ support: AnswerSupport) {
        key("support")
        beginObject()
        key("sentences_considered")
        integer(support.considered)
        key("sentences_supported")
        integer(support.supported)
        key("best_score")
        optional(support.bestScore)
        key("best_cosine")
        optional(support.bestCosine)
        key("best_coverage")
        optional(support.bestCoverage)
        key("question_words")
        beginArray()
        for word in support.questionWords { string(word) }
        endArray()
        endObject()
    }

    private mutating func thresholds(_ thresholds: AnswerThresholds) {
        key("thresholds")
        beginObject()
        key("cosine_alone")
        double(thresholds.cosineAlone)
        key("cosine_beside")
        double(thresholds.cosineBeside)
        key("coverage_beside")
        double(thresholds.coverageBeside)
        key("coverage_alone")
        double(thresholds.coverageAlone)
        key("relative_to_best")
        double(thresholds.relativeToBest)
        endObject()
    }
}
