import Testing

@testable import Embeddings

/// A server is asked for as much as it takes.
@Suite struct RequestSizeTests {
    private typealias Amount = RequestSize.Amount

    @Test func oneRefusalTeachesNothing() {
        var size = RequestSize(textsMax: 256, tokensMax: 100_000)
        size.refused(Amount(texts: 256, tokens: 9_000), took: Amount(texts: 128, tokens: 4_500))
        size.took(Amount(texts: 256, tokens: 9_000))
        size.refused(Amount(texts: 256, tokens: 9_000), took: Amount(texts: 128, tokens: 4_500))
        #expect(size.now == Amount(texts: 256, tokens: 100_000))
    }

    /// Long texts were too much, and short ones are asked for as before.
    @Test func tokensAreLearntWhereTheyWereTooMany() {
        var size = RequestSize(textsMax: 256, tokensMax: 100_000)
        for _ in 0..<2 {
            size.took(Amount(texts: 30, tokens: 52_000))
            size.refused(Amount(texts: 60, tokens: 99_000), took: Amount(texts: 30, tokens: 52_000))
        }
        #expect(size.now == Amount(texts: 256, tokens: 52_000))
    }

    @Test func textsAreLearntWhereTokensWereTaken() {
        var size = RequestSize(textsMax: 256, tokensMax: 100_000)
        size.took(Amount(texts: 32, tokens: 9_000))
        for _ in 0..<2 { size.refused(Amount(texts: 64, tokens: 600), took: Amount(texts: 32, tokens: 300)) }
        #expect(size.now == Amount(texts: 32, tokens: 100_000))
    }

    /// What was learnt is tried again, less often each time it still holds.
    @Test func itGrowsAgain() {
        var size = RequestSize(textsMax: 8, tokensMax: 100_000)
        size.wasLate(Amount(texts: 8, tokens: 80))
        #expect(size.now.texts == 4)
        for _ in 0..<RequestSize.fullWantedFirst { size.took(Amount(texts: 4, tokens: 40)) }
        #expect(size.now.texts == 8)
    }
}
