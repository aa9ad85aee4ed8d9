import Answering
import Bytes
import Retrieval
import Text

/// An answer and how it came about.
struct MadeAnswer: Sendable {
    let id: String
    let request: AnswerRequest
    let answer: Answer
    let use: AnswererUse
    let result: SearchResult
    let latencyNanoseconds: Int64
    let snippets: Snippets

    /// - Parameter withText: whether sentences and citations are in it.
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
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: latencyNanoseconds)
        writer.missingArms(of: result)
        writer.interpreted(request.search.interpretation)
        writer.reranking(result.reranking)
        writer.key("debug")
        if request.isDebug { writer.debug(answer, use, result: result) } else { writer.null() }
        writer.endObject()
        return writer.bytes
    }

    func writeText(to writer: inout JSONWriter) throws {
        writer.key("sentences")
        writer.beginArray()
        for sentence in answer.sentences { writer.sentence(sentence) }
        writer.endArray()
        writer.key("citations")
        writer.beginArray()
        for citation in answer.citations {
            writer.beginObject()
            writer.key("n")
            writer.integer(citation.number)
            try writer.hitMembers(citation.hit, snippets)
            writer.endObject()
        }
        writer.endArray()
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

    fileprivate mutating func debug(_ answer: Answer, _ use: AnswererUse, result: SearchResult) {
        beginObject()
        key("arms")
        beginObject()
        key("vector")
        integer(result.ranking.count { $0.candidate.vector != nil })
        key("lexical")
        integer(result.ranking.count { $0.candidate.lexical != nil })
        key("fused")
        integer(result.ranking.count)
        endObject()
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
