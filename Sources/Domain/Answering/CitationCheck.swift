package import Retrieval
import Synchronization
package import Text

/// Decides which proposed sentences reach the reader, whichever answerer wrote them. Each must cite at least one of the given
/// passages that supports it (see ``Support``); citations of other passages are removed.
package final class CitationCheck: Sendable {
    /// Cosines of a text and others, in their order; throws where there are none now: then words decide alone.
    package typealias Cosines = @Sendable (_ text: String, _ others: [String]) async throws -> [Double]

    private let passages: [Hit]
    private let analyzers: TextAnalyzers
    private let model: String?
    private let cosines: Cosines?
    /// Of passages that were cited, by their places.
    private let evidence = Mutex<[Int: Support.Evidence]>([:])

    /// From this share of words on, vectors are not asked.
    private static let coverageClear = 0.95

    /// - Parameters:
    ///   - passages: as they were numbered from 1.
    ///   - model: of the embeddings that `cosines` compares; nil where there are none.
    package init(passages: [Hit], analyzers: TextAnalyzers, model: String? = nil, cosines: Cosines? = nil) {
        self.passages = passages
        self.analyzers = analyzers
        self.model = model
        self.cosines = cosines
    }

    /// What became of a proposed sentence.
    package enum Outcome: Sendable, Equatable {
        /// Places of the passages that support it, in the order in which it cites them.
        case supported([Int])
        case dropped(SupportFault)
    }

    /// Looks at what a sentence cites.
    ///
    /// - Parameter isQuoted: whether somebody who obeys no text took it from the passages; then orders may be quoted, too, and
    ///   any part of one.
    /// - Throws: ``TextError``; ``CancellationError``.
    package func outcome(_ proposed: ProposedSentence, isQuoted: Bool = false) async throws -> Outcome {
        var places: [Int] = []
        for number in proposed.citations where number > 0 && number <= passages.count && !places.contains(number - 1) {
            places.append(number - 1)
        }
        places = Array(places.prefix(ExtractiveAnswerer.citationsPerSentenceMax))
        guard !places.isEmpty else { return .dropped(.citation) }
        let verdicts = try verdicts(proposed.text, places, isQuoted: isQuoted)
        var supporting: [Int] = []
        var fault = SupportFault.words
        for (place, verdict) in zip(places, verdicts) {
            if let found = try await faultOfMeaning(proposed.text, verdict, passages[place]) {
                fault = found
            } else {
                supporting.append(place)
            }
        }
        return supporting.isEmpty ? .dropped(fault) : .supported(supporting)
    }

    private func verdicts(_ text: String, _ places: [Int], isQuoted: Bool) throws(TextError) -> [Support.Verdict] {
        let passages = passages
        let quoted = isQuoted ? places.map { Support.quoteVerdict(text, passages[$0]) } : places.map { _ in nil }
        guard quoted.contains(where: { $0 == nil }) else { return quoted.compactMap { $0 } }
        let known = evidence.withLock { $0 }
        let (verdicts, read) = try analyzers.withAnalyzer { analyzer in
            let support = Support(analyzer)
            var read: [Int: Support.Evidence] = [:]
            let verdicts = zip(places, quoted).map { place, quoted in
                if let quoted { return quoted }
                let evidence = known[place] ?? support.evidence(passages[place])
                read[place] = evidence
                return support.verdict(text, evidence)
            }
            return (verdicts, read)
        }
        evidence.withLock { $0.merge(read) { old, _ in old } }
        return verdicts
    }

    /// The hard rules' fault, or what words and vectors come to.
    private func faultOfMeaning(
        _ text: String, _ verdict: Support.Verdict, _ passage: Hit
    ) async throws -> SupportFault? {
        if let fault = verdict.fault { return fault }
        if verdict.isQuote { return nil }
        let (thresholds, hasCosine) = SupportThresholds.of(model: model, collection: passage.candidate.collection)
        guard verdict.hasCapitals else {
            return verdict.coverage >= thresholds.coverageCaselessMin ? nil : .words
        }
        if verdict.coverage >= Self.coverageClear { return nil }
        guard hasCosine, let cosines, verdict.coverage >= thresholds.coverageBesideMin else {
            return verdict.coverage >= thresholds.coverageMin ? nil : .words
        }
        let cosine: Double
        do {
            cosine = try await cosines(text, [verdict.piece]).first ?? 0
        } catch let error as CancellationError {
            throw error
        } catch {
            return verdict.coverage >= thresholds.coverageMin ? nil : .words
        }
        if cosine < thresholds.cosineMin { return .meaning }
        return verdict.coverage >= thresholds.coverageMin || cosine >= thresholds.cosineStrong ? nil : .words
    }
}
