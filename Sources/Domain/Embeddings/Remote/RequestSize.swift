/// How much a server takes at once, by what it took and what it refused. A value: who holds it asks it under a lock.
struct RequestSize: Sendable {
    /// Texts of a request, and tokens, estimated.
    struct Amount: Sendable, Equatable {
        var texts = 0
        var tokens = 0
    }

    /// Of the settings.
    private let most: Amount
    /// Of a request, for now.
    private(set) var now: Amount
    /// The most of each that it took, whether in one request or in two.
    private var taken = Amount()
    /// Requests in a row that it took in parts alone.
    private var refusals = 0
    /// The last of those.
    private var refused = Amount()
    /// As large as may be, and taken, since ``now`` changed.
    private var full = 0
    /// So many let ``now`` grow.
    private var fullWanted = Self.fullWantedFirst

    static let fullWantedFirst = 50
    private static let fullWantedMax = 3_200
    /// A refusal may have another reason, once.
    private static let refusalsMax = 2

    init(textsMax: Int, tokensMax: Int) {
        most = Amount(texts: max(1, textsMax), tokens: max(1, tokensMax))
        now = most
    }

    /// It took a request.
    mutating func took(_ amount: Amount) {
        taken = Amount(texts: max(taken.texts, amount.texts), tokens: max(taken.tokens, amount.tokens))
        // The parts of what it refused say nothing of the whole.
        if amount.texts >= refused.texts, amount.tokens >= refused.tokens { refusals = 0 }
        guard now != most, amount.texts >= now.texts || amount.tokens > now.tokens / 2 else { return }
        full += 1
        guard full >= fullWanted else { return }
        full = 0
        now = Amount(texts: min(most.texts, 2 * now.texts), tokens: min(most.tokens, 2 * now.tokens))
    }

    /// It refused a request, and took all of it in parts.
    ///
    /// - Parameter part: the most of each that a part had.
    mutating func refused(_ amount: Amount, took part: Amount) {
        (refusals, refused) = (refusals + 1, amount)
        guard refusals >= Self.refusalsMax else { return }
        shrink()
        // As many texts were taken before, or it is not known: with fewer tokens there are fewer texts, too.
        if amount.tokens > taken.tokens {
            now.tokens = max(1, min(now.tokens, part.tokens))
        } else {
            now.texts = max(1, min(now.texts, part.texts))
        }
    }

    /// It did not answer in time.
    mutating func wasLate(_ amount: Amount) {
        guard amount.texts > 1 else { return }
        shrink()
        now.texts = max(1, min(now.texts, amount.texts / 2))
    }

    /// What it took once it need not take for ever, and growing costs more requests each time it was for nothing.
    private mutating func shrink() {
        if now != most || full > 0 { fullWanted = min(2 * fullWanted, Self.fullWantedMax) }
        (refusals, full) = (0, 0)
    }
}
