import Testing

@testable import Retrieval

/// What a question asks for, against titles and sentences.
@Suite struct QuestionSenseTests {
    private func relation(_ question: String, _ title: String, _ text: String, others: [String] = [])
        -> QuestionSense.Relation
    {
        QuestionSense(question: question, titles: [title] + others).relation(of: text, title: title) { _ in 1 }
    }

    private static let bridge = "Suspension bridge in Oaxaca"
    private static let edit =
        "\(bridge): References: added a source for the towers. edit by Ann on en.wikipedia.org (+1 bytes)."

    @Test(arguments: [
        "What changed in the article Suspension bridge in Oaxaca?", "Who edited Suspension bridge in Oaxaca?",
        "Who has been working on Suspension bridge in Oaxaca recently?",
        "Was Suspension bridge in Oaxaca edited, and why?",
        "Tell me what is new on Suspension bridge in Oaxaca",
    ])
    func aQuestionAboutThePageIsAnsweredByAnyOfItsEdits(_ question: String) {
        #expect(relation(question, Self.bridge, Self.edit) == .told)
        #expect(QuestionSense(question: question, titles: [Self.bridge]).matter.isEmpty)
    }

    /// Another page has most of the same words.
    @Test(arguments: [
        "1920 suspension bridge in Oaxaca", "Suspension bridge of Oaxaca (1920)",
        "List of suspension bridge articles about Oaxaca", "Suspension bridge in Crete",
        "Suspension bridges in Oaxaca and Crete",
    ])
    func aPageOfNearlyTheSameNameIsAnother(_ title: String) {
        let text = "\(title): added a source for the towers."
        let question = "Who edited Suspension bridge in Oaxaca?"
        #expect(relation(question, title, text) == .another)
        #expect(relation(question, title, text, others: [Self.bridge]) == .another)
    }

    @Test func aPageIsNamedByItsTextToo() {
        let question = "What happened to Harbour Lantern Bridge?"
        #expect(relation(question, "Talk:Harbour Lantern Bridge", "Reply to Ann") == .told)
        #expect(relation(question, "Category:Bridges", "Harbour Lantern Bridge added to category") == .told)
        #expect(relation(question, "Category:Bridges", "1920 Harbour Lantern Bridge added to category") == .another)
        #expect(relation("Who edited User talk:Ann Lee?", "User talk:Ann Lee", "reply. edit by Bob") == .told)
        #expect(relation("Who edited Talk:Draft:Ann Lee/8?", "Talk:Draft:Ann Lee/8", "reply. edit by Bob") == .told)
        // One word is often a part of a name.
        #expect(relation("What is new on Napoleon?", "Napoleon Bonaparte", "Napoleon Bonaparte: typo") == .told)
    }

    /// The right page without the fact.
    @Test(arguments: [
        "How old are most visitors of Suspension bridge in Oaxaca?", "Who paid for Suspension bridge in Oaxaca?",
        "What is the telephone number of Suspension bridge in Oaxaca?",
    ])
    func theMatterIsNotThere(_ question: String) {
        #expect(relation(question, Self.bridge, Self.edit) == .named(coverage: 0))
    }

    @Test func theMatterIsThereInPart() {
        let question = "Which source was added for the towers and cables in Suspension bridge in Oaxaca?"
        #expect(relation(question, Self.bridge, Self.edit) == .named(coverage: 0.75))
        let sense = QuestionSense(question: question, titles: [Self.bridge])
        #expect(sense.matter == "source was added for the towers and cables")
        #expect(
            QuestionSense.matter(of: Self.edit, title: Self.bridge)
                == "References: added a source for the towers. edit by Ann on en.wikipedia.org (+1 bytes).")
    }

    @Test(arguments: [
        ("Who removed the source for the towers in", "added a source for the towers"),
        ("Who restored the edits about the towers in", "Reverted edits about the towers"),
        ("Who brought back what was undone on the towers in", "Reverted edits about the towers"),
        ("Who shortened the part on the director's cut in", "expanded: the director's cut"),
        ("Which source was added for the towers in", "“the towers”: unsourced, see talk"),
    ])
    func theReverseIsNoAnswer(_ asked: String, _ told: String) {
        #expect(relation("\(asked) \(Self.bridge)?", Self.bridge, "\(Self.bridge): \(told).") == .another)
        #expect(OpposedActions.areOpposed(asked: ["expand"], told: ["expand", "cut"]) == false)
    }

    /// Places and years of the question are in the sentence, whatever else is.
    @Test func namesAndNumbersAreThere() {
        let question = "Has anybody dealt with doctors behind the earliest transplant in the Azores?"
        let text = "the surgeons who did the first transplant"
        guard case .named = relation(question, "Dental clinic in the Azores", text) else {
            Issue.record("it is not taken for what is asked about")
            return
        }
        #expect(relation(question, "Dental clinic in Crete", text) == .another)
        #expect(
            QuestionSense(question: question, titles: []).matter == "doctors behind the earliest transplant")
        #expect(
            relation("Qui a révoqué un vandalisme en 1891 ?", "Glacier (1890)", "Révocation : vandalisme") == .another)
        #expect(relation("Qui a révoqué un vandalisme à Genève ?", "Glacier (Provence)", "vandalisme") == .another)
        // All German nouns have a capital.
        #expect(relation("Wer hat den Beleg ergänzt?", "Brücke", "Quelle für die Brücke") == .open)
        #expect(relation("Wie backt man Brot?", "Brücke", "Quelle für die Brücke") == .open)
    }

    /// A question in a question is what is asked for.
    @Test func theWordsOfAskingAreNotTheMatter() {
        let question = "I am looking for edits from Bavaria that concern how well a later song sold."
        #expect(QuestionSense(question: question, titles: []).matter == "how well a later song sold")
        #expect(QuestionSense(question: "How do vaccines work?", titles: ["Vaccine"]).matter.isEmpty)
        for odd in ["", "?", "Who", "Which page", "of in the", ":::", "Talk:", "5"] {
            _ = relation(odd, odd, odd, others: ["", ":", "A:b", "of"])
        }
    }
}
