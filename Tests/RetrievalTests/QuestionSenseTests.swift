import Testing

@testable import Retrieval

/// What a question asks for, against titles and sentences.
@Suite struct QuestionSenseTests {
    private func relation(
        _ question: String, _ title: String, _ text: String, others: [String] = [], passage: String? = nil
    )
        -> QuestionSense.Relation
    {
        QuestionSense(question: question, titles: [title] + others).relation(
            of: text, title: title, passage: passage ?? text
        ) { _ in 1 }
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
    }

    @Test(arguments: [
        ("How do I enable tracing?", "Tracing is disabled by default; set TRACE to enable it."),
        ("When was the bridge opened?", "The bridge, close to the old mill, was opened in May."),
        ("When did the war end?", "It started in spring and ended in autumn."),
    ])
    func whatIsToldOfBesideItsReverseIsAnAnswer(_ question: String, _ text: String) {
        #expect(relation(question, "Guide", text) == .open)
    }

    /// Questions about documents of any kind, as people write them.
    @Test func capitalsAndSmallNumbersAreNoNamesByThemselves() {
        let text = "The key is rotated by medallion keys rotate; the indexer stops for three reasons."
        for question in [
            "What can I do if I'm locked out?", "How do I rotate a key? Please explain.",
            "How do I rotate a key? Thanks",
            "How Do I Rotate A Key Of Mine", "HOW DO I ROTATE A KEY", "Give 3 reasons why the indexer stops",
        ] {
            #expect(relation(question, "Keys", text) == .open, "\(question)")
        }
        // Its name stands in the sentence before.
        let abstract = "The Transformer needs no recurrence. Our model reaches 28.4 BLEU on WMT 2014."
        let question = "Which BLEU does the Transformer reach on WMT 2014?"
        #expect(
            relation(question, "Attention", "Our model reaches 28.4 BLEU on WMT 2014.", passage: abstract) != .another)
        #expect(relation(question, "Attention", "Our model reaches 28.4 BLEU on WMT 2014.") == .another)
    }

    /// A page with a word of the question as its title is not what it asks about.
    @Test func aWordIsNoPage() {
        let text = "GraphSAGE reaches 0.61 on PPI."
        let question = "What is the performance of GraphSAGE on PPI?"
        #expect(relation(question, "Inductive learning", text, others: ["Performance"]) != .another)
        #expect(relation("How do I reset a password?", "Guide", "Click on reset.", others: ["Reset password"]) == .open)
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
        #expect(relation("Nenne Gründe für Ausfälle", "Betrieb", "Die Ursachen sind drei.") == .open)
        #expect(relation("Is de Erasmusbrug in Rotterdam oud?", "Brug", "Hij is van 1996.") == .open)
        // Words that English shares with German, Dutch and Danish say nothing.
        for question in ["Was hat man an Brücken geändert", "Is Rotterdam mooi of Amsterdam", "Find alt for Aarhus by"]
        {
            #expect(!QuestionNames.isEnglish(question), "\(question)")
        }
        for question in [
            "Was the bridge painted?", "Is there an edit of Berlin?", "I am looking for Berlin", "List edits of Berlin",
        ] {
            #expect(QuestionNames.isEnglish(question), "\(question)")
        }
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
