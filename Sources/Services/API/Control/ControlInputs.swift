import Bytes
import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval
import Store

/// What `POST /generations/{generation}/promote` and `…/prune` read.
struct GenerationInput: Sendable {
    var generation = 1
    var waitSeconds = 0

    private static let path = Parameter<GenerationInput>(
        .path, "generation", \.generation, .integer(1...Int.max), "Its number, as `GET /generations` lists it.")
    static let pruning = InputForm(GenerationInput(), [path])
    static let promotion = InputForm(
        GenerationInput(),
        [
            path,
            Parameter(
                .query, "wait_seconds", \.waitSeconds, .integer(0...20),
                "How long to wait where its index is behind; then comes 409, which says how far."),
        ])
}

/// What names one replay.
struct ReplayIDInput: Sendable {
    var id = ""

    static let path = Parameter<ReplayIDInput>(
        .path, "replay_id", \.id, .string(1...40), "As `GET /replays` has it: the generation's number, or `dry-1`.")
    static let form = InputForm(ReplayIDInput(), [path])
}

/// What `PATCH /replays/{replay_id}` reads.
struct ReplayChangeInput: Sendable {
    /// The body.
    struct Wish: Sendable {
        var isPaused: Bool?
        var rate: Int?
    }

    var id = ""
    var wish = Wish()

    static let form = InputForm(
        ReplayChangeInput(),
        [Parameter(.path, "replay_id", \.id, .string(1...40), "As `GET /replays` has it.")],
        body: BodyForm(
            \.wish,
            Form<Wish>.object(
                Wish(),
                [
                    Field(
                        "paused", \.isPaused, Form<Bool>.bool.optional,
                        "Whether it stands still; false goes on, also with one that was cut short."),
                    Field("rate", \.rate, ReplayStartInput.rate.optional, "Records a second; 0 for any number."),
                ]
            ).named("ReplayChange"), examples: [("pause", .object([("paused", .bool(true))]))]))
}

/// The body of `POST /replays`.
struct ReplayStartInput: Sendable {
    var source: String?
    var since: Int64?
    var until: Int64?
    var partition: Int?
    var from: Int?
    var to: Int?
    var logic: JSONValue?
    var model: String?
    var dimensions: Int?
    var isDryRun = false
    var isPaused = false
    var rate = 0

    static let rate = Form<Int>.integer(0...10_000_000)

    static let form = Form<ReplayStartInput>.object(
        ReplayStartInput(),
        [
            Field(
                "source", \.source, Form<String>.string(1...249).optional,
                "A declared source; all of them if left out, which needs neither offsets nor logic where there are several."
            ),
            Field("since", \.since, Form<Int64>.time.optional, "From this broker time on; everything if left out."),
            Field("until", \.until, Form<Int64>.time.optional, "Before this broker time."),
            Field(
                "partition", \.partition, Form<Int>.integer(0...Int(Int32.max)).optional,
                "The topic partition of `from` and `to`."),
            Field("from", \.from, Form<Int>.integer(0...Int.max).optional, "The first offset."),
            Field("to", \.to, Form<Int>.integer(0...Int.max).optional, "The offset behind the last one."),
            Field(
                "logic", \.logic, Form<JSONValue>.anyObject.optional,
                "The new logic, written as in a declaration; the declared one if left out."),
            Field(
                "model", \.model, Form<String>.string(1...240).optional,
                "Vectors of another model: float, int8, or with EMBED_URL what its server calls one. With neither source nor range nor "
                    + "logic nothing else changes: the generation refers to the active one's files, and only embeds."),
            Field(
                "dimensions", \.dimensions, Form<Int>.integer(1...4_000).optional,
                "Vectors of so many numbers, the model's first ones; all of them if left out. Alone as `model` is."),
            Field("dry_run", \.isDryRun, .bool, "Whether only to count and show what would change."),
            Field("paused", \.isPaused, .bool, "Whether it begins by standing still."),
            Field("rate", \.rate, rate, "Records a second at most; 0 for any number."),
        ],
        check: { input, reading in
            let offsets = [input.partition, input.from, input.to].compactMap { $0 }
            if !offsets.isEmpty, offsets.count < 3 {
                reading.fault("value_error", "partition, from and to go together", at: [.name("from")])
            }
            if let from = input.from, let to = input.to, from >= to {
                reading.fault("value_error", "must be larger than from", at: [.name("to")])
            }
            if input.since != nil, !offsets.isEmpty {
                reading.fault("value_error", "goes without offsets", at: [.name("since")])
            }
            if let until = input.until, until <= input.since ?? .max {
                reading.fault("value_error", "must be later than since", at: [.name("until")])
            }
        }
    ).named("ReplayStart")

    var start: ReplayStart {
        var start = ReplayStart()
        start.source = source
        (start.bounds.sinceMilliseconds, start.bounds.untilMilliseconds) = (since, until)
        if let partition, let from, let to {
            start.bounds.partition = Int32(clamping: partition)
            start.bounds.offsets = OffsetRange(start: Int64(from), end: Int64(to))
        }
        start.logic = logic.map { Array($0.text.utf8) }
        (start.model, start.dimensions) = (model, dimensions)
        start.isDryRun = isDryRun
        start.wish = ReplayWish(isPaused: isPaused, rate: rate)
        return start
    }
}

extension Form where Value == JSONValue {
    /// Any JSON object.
    static var anyObject: Form<JSONValue> {
        Form(
            schema: .anyObject(), json: { $0 },
            read: { value, reading in
                if case .object = value { return value }
                reading.fault("object_type", "must be an object", input: value)
                return nil
            })
    }
}

/// What `GET /quarantine/record` reads.
struct QuarantinedRecordInput: Sendable {
    var topic = ""
    var partition = 0
    var offset = 0
    var generation: Int?

    static let form = InputForm(
        QuarantinedRecordInput(),
        [
            Parameter(.query, "topic", \.topic, .string(1...249), "The record's topic.", isRequired: true),
            Parameter(
                .query, "partition", \.partition, .integer(0...Int(Int32.max)), "Its topic partition.",
                isRequired: true),
            Parameter(.query, "offset", \.offset, .integer(0...Int.max - 1), "Its offset.", isRequired: true),
            Parameter(
                .query, "generation", \.generation, Form<Int>.integer(1...Int.max).optional,
                "Whose quarantine; the active generation's if left out."),
        ])

    var selection: QuarantineSelection {
        var selection = QuarantineSelection()
        (selection.topic, selection.partition) = (topic, Int32(clamping: partition))
        selection.offsets = OffsetRange(start: Int64(offset), end: Int64(offset) + 1)
        (selection.generation, selection.limit) = (generation.map(Int64.init), 1)
        return selection
    }
}

/// What `GET /quarantine` and its changes read of a selection.
struct QuarantineInput: Sendable {
    var topic: String?
    var partition: Int?
    var offset: Int?
    var from: Int?
    var to: Int?
    var rule: String?
    var since: Int64?
    var until: Int64?
    var state: String?
    var generation: Int?
    var limit = 50
    var cursor: String?
    var isAll = false
    var forces = false
    var isDryRun = false
    var reason = ""
    var value: String?

    static let limitMax = 500
    private static let count = Form<Int>.integer(0...Int.max - 1).optional
    private static let word = Form<String>.string(1...249).optional

    static let list = InputForm(
        QuarantineInput(),
        [
            Parameter(.query, "topic", \.topic, word, "Only of this topic."),
            Parameter(.query, "partition", \.partition, count, "Only of this topic partition."),
            Parameter(.query, "offset", \.offset, count, "Only the records of this offset."),
            Parameter(.query, "from", \.from, count, "Only from this offset on."),
            Parameter(.query, "to", \.to, count, "Only offsets before this one."),
            Parameter(.query, "rule", \.rule, word, "Only records that broke this rule."),
            Parameter(.query, "since", \.since, Form<Int64>.time.optional, "Only from this broker time on."),
            Parameter(.query, "until", \.until, Form<Int64>.time.optional, "Only before this broker time."),
            Parameter(.query, "state", \.state, word, "Only open, pending, redriven or discarded records."),
            Parameter(
                .query, "generation", \.generation, Form<Int>.integer(1...Int.max).optional,
                "Whose quarantine; the active generation's if left out."),
            Parameter(.query, "limit", \.limit, .integer(1...limitMax), "Records at most."),
            Parameter(
                .query, "cursor", \.cursor, cursorForm,
                "The `next_cursor` of the page before, asked for with the same selection."),
        ])

    private static let cursorForm = Form<String>.string(
        1...QuarantineListing.cursorMax,
        pattern: TextPattern("^[0-9]+(~[A-Za-z0-9._-]+~[0-9._]+)+$", "must be a next_cursor of this endpoint") { text in
            let parts = text.utf8.split(separator: UInt8(ascii: "~"), omittingEmptySubsequences: false)
            return parts.count >= 3 && parts.count % 2 == 1
                && parts.enumerated().allSatisfy { index, part in
                    !part.isEmpty && part.allSatisfy { isCursor($0, index == 0 ? 0 : 2 - index % 2) }
                }
        }
    ).optional

    /// - Parameter place: 0 for the generation, 1 for a topic, 2 for its places.
    private static func isCursor(_ byte: UInt8, _ place: Int) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "_"): place > 0
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"): place == 1
        default: false
        }
    }

    private static let selecting: [Field<QuarantineInput>] = [
        Field("topic", \.topic, word, "Only of this topic."),
        Field("partition", \.partition, count, "Only of this topic partition."),
        Field("offset", \.offset, count, "Only the record of this offset, with topic and partition."),
        Field("from", \.from, count, "Only from this offset on."),
        Field("to", \.to, count, "Only offsets before this one."),
        Field("rule", \.rule, word, "Only records that broke this rule."),
        Field("since", \.since, Form<Int64>.time.optional, "Only from this broker time on."),
        Field("until", \.until, Form<Int64>.time.optional, "Only before this broker time."),
        Field("all", \.isAll, .bool, "All that is open; needed where nothing else says which."),
        Field("limit", \.limit, .integer(1...limitMax), "Records at most; ask again for the rest."),
        Field("force", \.forces, .bool, "Also what was redriven or discarded before."),
        Field("dry_run", \.isDryRun, .bool, "Only tell what would be done."),
    ]

    private static let check: @Sendable (QuarantineInput, inout InputReading) -> Void = { input, reading in
        if !input.isAll, input.selection.isOpen {
            reading.fault(
                "value_error", "say which records: by rule, offsets or times, or with all", at: [.name("all")])
        }
        if input.offset != nil, input.topic == nil || input.partition == nil {
            reading.fault("value_error", "goes with topic and partition", at: [.name("offset")])
        }
        if input.value != nil, input.offset == nil {
            reading.fault("value_error", "stands for one record: it goes with offset", at: [.name("value")])
        }
    }

    static let redrive = InputForm(
        QuarantineInput(),
        body: BodyForm(
            \.self,
            Form<QuarantineInput>.object(
                QuarantineInput(),
                selecting + [
                    Field(
                        "value", \.value, Form<String>.string(1...SearchAPI.bodyBytesMax).optional,
                        "A corrected value in place of the quarantined one.")
                ], check: check
            ).named("Redrive"), examples: [("a rule", .object([("rule", .string("wrong_type"))]))]))

    static let discard = InputForm(
        QuarantineInput(),
        body: BodyForm(
            \.self,
            Form<QuarantineInput>.object(
                QuarantineInput(),
                selecting + [Field("reason", \.reason, .string(0...500), "Why, for whoever looks later.")], check: check
            ).named("Discard"),
            examples: [
                ("a rule", .object([("rule", .string("truncated_json")), ("reason", .string("cut by a proxy"))]))
            ]))

    var selection: QuarantineSelection {
        var selection = QuarantineSelection()
        (selection.topic, selection.partition) = (topic, partition.map { Int32(clamping: $0) })
        if let offset {
            selection.offsets = OffsetRange(start: Int64(offset), end: Int64(offset) + 1)
        } else if from != nil || to != nil {
            selection.offsets = OffsetRange(start: Int64(from ?? 0), end: Int64(max(from ?? 0, to ?? .max)))
        }
        (selection.rule, selection.state, selection.limit) = (rule, state, limit)
        (selection.sinceMilliseconds, selection.untilMilliseconds) = (since, until)
        (selection.generation, selection.cursor) = (generation.map(Int64.init), cursor)
        return selection
    }
}
