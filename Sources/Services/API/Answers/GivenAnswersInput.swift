import Forms
import HTTPEndpoints
import JSONScan
import Retrieval

/// What `GET /answers` reads.
struct AnswerListInput: Sendable {
    var limit = GivenAnswers.listDefault
    var since: Int64?
    var until: Int64?
    var isRefused: Bool?
    var cites: String?
    var collection: String?
    var cursor: AnswerCursor?

    static let form = InputForm(
        AnswerListInput(),
        [
            Parameter(.query, "limit", \.limit, .integer(1...AnswerListQuery.limitMax - 1), "Answers per page."),
            Parameter(.query, "since", \.since, Form<Int64>.time.optional, "Only those given from then on."),
            Parameter(.query, "until", \.until, Form<Int64>.time.optional, "Only those given before then."),
            Parameter(
                .query, "refused", \.isRefused, Form<Bool>.bool.optional, "Only refusals, or only answers that cite."),
            Parameter(
                .query, "cites", \.cites, Form<String>.string(1...FilterLimits.charactersMax).optional,
                "Only those that cite the document of this id."),
            Parameter(
                .query, "collection", \.collection, FilterInput.word.optional, "The collection of that document."),
            Parameter(
                .query, "cursor", \.cursor, Form<AnswerCursor>.answerCursor.optional,
                "`next_cursor` of an earlier reply: goes on to older answers."),
        ])
}

/// What `GET /answers/{answer_id}` reads.
struct AnswerIDInput: Sendable {
    var id = ""

    static let form = InputForm(
        AnswerIDInput(),
        [Parameter(.path, "answer_id", \.id, .string(1...AnswerCursor.idMax), "As the reply of POST /answer has it.")])
}

/// What `POST /answers/{answer_id}/feedback` reads.
struct FeedbackInput: Sendable {
    /// The body.
    struct Said: Sendable {
        var verdict = AnswerFeedback.Verdict.up
        var note = ""

        static let form = Form<Said>.object(
            Said(),
            [
                Field(
                    "verdict", \.verdict, .choice, "Whether the answer is good.",
                    isRequired: true),
                Field("note", \.note, .string(0...AnswerFeedback.noteMax), "Why, in your own words."),
            ]
        ).named("Feedback")
    }

    var id = ""
    var said = Said()

    static let form = InputForm(
        FeedbackInput(),
        [Parameter(.path, "answer_id", \.id, .string(1...AnswerCursor.idMax), "As the reply of POST /answer has it.")],
        body: BodyForm(
            \.said, Said.form,
            examples: [
                ("bad", .object([("verdict", .string("down")), ("note", .string("It was the other bridge."))]))
            ]))
}

/// A place in the list of a tenant's answers, as text: `1764522000123.ans_4f2a…`.
struct AnswerCursor: Sendable, Equatable {
    var place: AnswerPlace

    static let idMax = 100

    init(place: AnswerPlace) { self.place = place }

    var text: String { "\(place.createdAtMilliseconds).\(place.id)" }

    init?(text: String) {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let time = Int64(parts[0]), time >= 0, String(time) == parts[0], !parts[1].isEmpty,
            parts[1].utf8.count <= Self.idMax, time < 253_402_300_799_000
        else { return nil }
        place = AnswerPlace(createdAtMilliseconds: time, id: String(parts[1]))
    }
}

extension Form where Value == AnswerCursor {
    /// A `next_cursor` of `GET /answers`.
    static var answerCursor: Form<AnswerCursor> {
        let take: @Sendable (String, inout InputReading) -> AnswerCursor? = { text, reading in
            if let cursor = AnswerCursor(text: text) { return cursor }
            reading.fault("cursor_invalid", "is not a next_cursor of this API", input: .string(text))
            return nil
        }
        return Form(
            schema: .string(), json: { .string($0.text) },
            read: { value, reading in take(value.string ?? "", &reading) },
            readTexts: { texts, reading in take(texts.first ?? "", &reading) })
    }
}
