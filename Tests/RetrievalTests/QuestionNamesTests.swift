import Testing

@testable import Retrieval

/// What an English question names has to be in the sentence that answers it.
@Suite struct QuestionNamesTests {
    private func match(_ question: String, _ text: String) -> QuestionNames.Match {
        // Among what is found for such a question.
        let others = [String](repeating: "Project Moor/Hot articles: listed", count: 30)
        return QuestionWords(question: question, texts: [text] + others + [String](repeating: "note", count: 30))
            .match(Words.content(text))
    }

    @Test(arguments: [
        ("Who repainted the Harbour Lantern Tunnel?", "Harbour Lantern Bridge: repainted"),
        ("What did Ann Smith change?", "Moor. edit by Ann Lee"),
        ("When was Battle of Lewes moved, and where is the Battle of Hastings?", "Battle of Lewes: moved"),
        ("Who edited User talk:71.90.20.119?", "User talk:122.56.232.6: undid revision"),
        ("Was Q104 edited, and why by User Q7?", "Q104: edit by User Q9"),
        ("What is new on Project Vesper/Hot articles", "Project Moor/Hot articles: updated"),
        ("Who repainted the bridge in 1999?", "Harbour Lantern Bridge: repainted"),
        ("What changed in File:Session 2019-01-15.webm", "File:Session 2019-01-29.webm"),
        ("Is the Harbour Lantern Tunnel, in Ambergate, open?", "Harbour Lantern Bridge at Ambergate is open"),
    ])
    func anotherOfNearlyTheSameName(question: String, text: String) { #expect(match(question, text) == .another) }

    @Test(arguments: [
        // The first word is only a title, a region or the like.
        ("What happened to President Anna Quill?", "Anna Quill: new portrait"),
        ("What did President Anna Quill say at Mossvale?", "Anna Quill at Mossvale: new portrait"),
    ])
    func partOfAName(question: String, text: String) { #expect(match(question, text) == .some) }

    @Test(arguments: [
        ("Which 7 bridges were repainted?", "Harbour Lantern Bridge: repainted"),
        ("Where is Mossvale?", "Ambergate Observatory: moved"),
        ("Which towns of Vesperland have a bridge, Ambergate?", "Ambergate: new bridge"),
        ("What is the capital of Vesperland, President Anna Quill?", "The capital of Anna Quill"),
    ])
    func aNameIsMissing(question: String, text: String) { #expect(match(question, text) == .absent) }

    @Test(arguments: [
        ("Who repainted the Harbour Lantern Bridge?", "Harbour Lantern Bridge: repainted"),
        ("What changed in the Article Harbour Lantern Bridge's text?", "Harbour Lantern Bridges"),
        ("What is new on Wikipedia?", "Moor"), ("who repainted the tunnel?", "Bridge"),
        ("What is It Follows about?", "It Follows: plot"),
        // Other languages write other words with a capital, or none.
        ("Was wurde im Artikel Kölner Dom geändert?", "Kölner Dom: neue Fotos"),
        ("Wer hat den Kölner Dom fotografiert?", "Kölner Turm"), ("富士山の郵便局はどこ?", "富士山"), ("", "x"),
        ("Harbour Lantern Tunnel", "Harbour Lantern Bridge"),
    ])
    func nothingIsMissing(question: String, text: String) { #expect(match(question, text) == .all) }

    /// Cosine and coverage are those of a sentence about the bridge.
    @Test func aSentenceAboutAnotherDoesNotSupport() {
        func isAnswered(_ question: String) -> Bool {
            let text = "Harbour Lantern Bridge: repainted the north tower in green. edit by Quill."
            let hit = Hit(
                candidate: candidate("d", title: "Harbour Lantern Bridge", text: text),
                parts: ScoreParts(vector: 1, lexical: 0))
            let sentence = SourceSentence(text: text, hitIndex: 0, cosine: 0.7)
            return !ExtractiveAnswerer.answer(question: question, hits: [hit], sentences: [sentence], maxTokens: 100)
                .isRefused
        }
        #expect(isAnswered("Who repainted the Harbour Lantern Bridge?"))
        #expect(!isAnswered("Who repainted the Harbour Lantern Tunnel?"))
        #expect(!isAnswered("What was painted in Vesperland in 1999?"))
    }

    /// One word is little, unless it is all of the page's title.
    @Test func aPageIsNamedByAllWordsOfItsTitle() {
        func isAnswered(_ question: String, title: String) -> Bool {
            let text = "\(title): new reference. edit by Quill."
            let hit = Hit(candidate: candidate("d", title: title, text: text), parts: ScoreParts(vector: 1, lexical: 0))
            let sentence = SourceSentence(text: text, hitIndex: 0, cosine: 0.2)
            return !ExtractiveAnswerer.answer(question: question, hits: [hit], sentences: [sentence], maxTokens: 100)
                .isRefused
        }
        #expect(isAnswered("Why was Q5187 changed?", title: "Q5187"))
        #expect(!isAnswered("Why was Quill changed?", title: "Q5187"))
        #expect(!isAnswered("Why does Baunt hum at night in winter?", title: "Baunt"))
    }
}
