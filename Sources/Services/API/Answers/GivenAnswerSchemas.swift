import Forms
import HTTPEndpoints
import Retrieval

extension ReplySchemas {
    private static let verdict = Schema.choice(AnswerFeedback.Verdict.allCases.map(\.rawValue))

    private static let answerFacts: [Schema.Property] = [
        .init("answer_id", .string()), .init("question", .string()), .init("created_at", .time()),
        .init("refused", .bool()), .init("generation", .integer()), .init("index_version", .integer()),
    ]

    private static let hits = Schema.Property(
        "hits", .integer(), "How often it was given again, out of a server's cache; counted a second or so later.")

    static let answersGiven = Schema.object([
        .init(
            "answers",
            .array(
                of: Schema.object(
                    answerFacts + [
                        .init("up", .integer(), "How many said that it is good."),
                        .init("down", .integer(), "How many said that it is not."), hits,
                    ]
                ).named("AnswerSummary"))),
        .init("next_cursor", .string().orNull, "Goes on to older answers; null where there are none."),
    ]).named("AnswersReply")

    static let answerGiven = Schema.object(
        answerFacts + [
            .init("request", .anyObject(), "As it was understood."),
            .init("reply", .anyObject(), "As it was given, without sentences that cite what is suppressed now."),
            .init("retrieved", .array(of: .anyObject()), "The passages that were found, best first."),
            .init(
                "withheld", .integer(),
                "Documents that the answer was made of and that are suppressed now: nothing of them is shown."),
            hits,
            .init(
                "feedback",
                .array(
                    of: .object([
                        .init("verdict", verdict), .init("note", .string()),
                        .init("key", .string().orNull, "The id of the key of who said so; null without one."),
                        .init("given_at", .time()),
                    ])), "The newest first."),
        ]
    ).named("AnswerGiven")

    static let answerFeedback = Schema.object([
        .init("answer_id", .string()), .init("verdict", verdict),
    ]).named("FeedbackReply")
}
