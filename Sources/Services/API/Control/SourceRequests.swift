import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import Hashing
import Health
package import Records
package import Sources
import Telemetry

/// What the API needs to ask something of sources.
package struct SourceDesk: Sendable {
    /// All declared sources.
    package var sources: @Sendable () -> [SourceDeclaration]
    /// Hands a request to the topic, and returns once it is acknowledged. Blocks.
    package var publish: @Sendable (_ request: SourceRequest, _ timeoutMilliseconds: Int) throws -> Void
    /// What is asked of a source, as far as this process has read the topic; nil as long as that is not known.
    package var wishes: @Sendable (_ source: String) -> SourceWishes?
    /// Why that is not known; nil for nothing in particular.
    package var wishesFault: @Sendable () -> String?

    /// Memberwise.
    package init(
        sources: @escaping @Sendable () -> [SourceDeclaration],
        publish: @escaping @Sendable (SourceRequest, Int) throws -> Void,
        wishes: @escaping @Sendable (String) -> SourceWishes?,
        wishesFault: @escaping @Sendable () -> String? = { nil }
    ) {
        self.sources = sources
        self.publish = publish
        self.wishes = wishes
        self.wishesFault = wishesFault
    }
}

/// `POST /sources/{source}/pause`, `…/resume`, `…/snapshot` and `…/give-up`, and `GET /sources/{source}/requests`.
///
/// Each request leaves a line in the log with the key, also where it was refused; who asked, and what became of it, stays in the
/// topic of requests.
struct SourceRequests: Sendable {
    /// Nil in a process that has no broker.
    let desk: SourceDesk?
    let access: AccessGuard
    let turns: RequestTurns
    let logger: Logger
    private let lane = Lane(name: "source-requests")

    private static let publishMillisecondsMax = 10_000
    /// How long a reply waits until this process has seen the request.
    private static let appliedMillisecondsMax = 1_500
    private static let lookMilliseconds = 15

    init(desk: SourceDesk?, access: AccessGuard, turns: RequestTurns, logger: Logger) {
        self.desk = desk
        self.access = access
        self.turns = turns
        self.logger = logger.scoped("sources")
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.pauseSource,
            async: { input, request in try await ask(input.source, .pause, input.asking, request, status: 200) })
        set.add(
            Contract.resumeSource,
            async: { input, request in try await ask(input.source, .resume, input.asking, request, status: 200) })
        set.add(
            Contract.giveUpSnapshots,
            async: { input, request in
                try await ask(input.source, .giveUp(input.snapshot), input.asking, request, status: 200)
            })
        set.add(
            Contract.snapshotSource,
            async: { input, request in
                let range = SourceKeyRange(from: input.part.from, to: input.part.to)
                let asking = SourceAsking(reason: input.part.reason, key: input.key)
                return try await ask(input.source, .snapshot(range), asking, request, status: 202)
            })
        set.add(Contract.sourceRequests, inline: { input, request in try list(input, request) })
    }

    private func ask(
        _ name: String, _ action: SourceRequest.Action, _ asking: SourceAsking, _ request: HTTPRequest, status: Int
    ) async throws -> HTTPResponse {
        guard let desk else { throw APIError.unavailable("asking sources", "this process has no broker") }
        let by = try who(request)
        var outcome = "refused"
        var asked = SourceRequest(
            id: "", source: name, action: action, reason: asking.reason, by: by,
            atMilliseconds: SystemClock.epochMilliseconds())
        defer {
            logger.info(
                "asked of a source",
                [
                    "what": "\(name): \(action.word)", "id": asked.id, "by": by, "reason": asking.reason,
                    "outcome": outcome, "key": access.names(request.headers).key ?? "", "request_id": request.id,
                ])
        }
        let source = try declared(name, desk, request)
        try Self.check(action, source)
        asked.id = try Self.id(asked, asking.key)
        outcome = "not acknowledged"
        let isApplied = try await turns.run(.feed, request) { [asked] deadline in
            try await hand(asked, to: desk, deadline)
        }
        outcome = "asked"
        return .fresh(
            Self.reply(
                asked, source, desk.wishes(name), isApplied, isDetailed: access.maySeeDetails(request)),
            status: status)
    }

    /// The request's id. With an `Idempotency-Key` it is the same whenever the same caller asks the same with it, so that the
    /// topic knows the second as the first.
    private static func id(_ asked: SourceRequest, _ key: String?) throws -> String {
        guard let key else {
            var generator = SystemRandomNumberGenerator()
            return SourceRequest.makeID(using: &generator)
        }
        var hasher = try SHA256Hasher()
        let same = SourceRequest(
            id: key, source: asked.source, action: asked.action, reason: "", by: asked.by, atMilliseconds: 0
        ).json
        let digest = try same.withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
        return "r-\(digest.hex.prefix(16))"
    }

    /// `GET /sources/{source}/requests`: the last ones, the newest first.
    private func list(_ input: SourceRequestsInput, _ request: HTTPRequest) throws -> HTTPResponse {
        guard let desk else { throw APIError.unavailable("what was asked of sources", "this process has no broker") }
        _ = try declared(input.source, desk, request)
        guard let wishes = desk.wishes(input.source) else {
            throw APIError.unavailable(
                "what was asked of sources", desk.wishesFault() ?? "the topic of requests to sources is not read yet")
        }
        let isDetailed = access.maySeeDetails(request)
        var writer = JSONWriter()
        writer.beginObject()
        writer.string("source", input.source)
        writer.key("requests")
        writer.beginArray()
        for answered in wishes.history.suffix(input.limit).reversed() {
            writer.answered(answered, isDetailed: isDetailed)
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// The source of a name, where the caller may know of it.
    private func declared(_ name: String, _ desk: SourceDesk, _ request: HTTPRequest) throws -> SourceDeclaration {
        let seesAll = try access.seesAllTenants(request) && AccessGuard.namedTenant(request.headers) == nil
        let tenant: TenantID? = try seesAll ? nil : access.tenant(of: request)
        let known = desk.sources().filter { tenant == nil || $0.tenant == tenant }
        if let source = known.first(where: { $0.name.text == name }) { return source }
        let names = known.map(\.name.text).sorted()
        throw EndpointError(
            status: 404, type: "not_found",
            message: "there is no source of this name; "
                + (names.isEmpty ? "none is declared in this process" : "there are \(names.joined(separator: ", "))"),
            faults: [
                InputFault(
                    type: "not_found", location: [.name("path"), .name("source")], message: "names no source",
                    input: .string(name))
            ])
    }

    /// - Throws: 409 for what a source of its kind cannot do.
    private static func check(_ action: SourceRequest.Action, _ source: SourceDeclaration) throws(APIError) {
        if source.connector == .none {
            throw APIError(
                status: 409, type: "source_not_ours",
                message: "another program fills the topic of this source (connector none): ask that one")
        }
        switch action {
        case .pause, .resume: return
        case .snapshot, .giveUp: break
        }
        guard case .postgres = source.connector else {
            throw APIError(
                status: 409, type: "source_without_snapshots",
                message:
                    "only a table of Postgres can be read again; the connector of this source is \(source.connector.kind.rawValue)"
            )
        }
    }

    /// Who asks: the name of a key, and its id.
    private func who(_ request: HTTPRequest) throws -> String {
        guard case .key(let key) = try access.caller(request) else { return "" }
        return "\(key.name) (\(key.id))"
    }

    /// - Returns: whether this process has seen it within a moment.
    private func hand(_ asked: SourceRequest, to desk: SourceDesk, _ deadline: Deadline) async throws -> Bool {
        // One that comes again need not be handed over again.
        if desk.wishes(asked.source)?.hasTaken(asked) == true { return true }
        do {
            try await lane.run { try Self.publish(asked, to: desk, deadline) }
        } catch {
            if error is CancellationError { throw error }
            throw APIError.unavailable("the topic of requests to sources", "\(error)")
        }
        let patience = Deadline(milliseconds: min(Self.appliedMillisecondsMax, deadline.leftMilliseconds))
        while !patience.hasPassed {
            if let wishes = desk.wishes(asked.source), wishes.hasTaken(asked) { return true }
            try await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
        }
        return false
    }

    /// Hands a request over, unless its caller was refused meanwhile: it may have waited for others.
    static func publish(_ asked: SourceRequest, to desk: SourceDesk, _ deadline: Deadline) throws {
        guard !deadline.hasPassed else {
            throw APIError.unavailable("the topic of requests to sources", "others were waited for too long")
        }
        try desk.publish(asked, max(1, min(publishMillisecondsMax, deadline.leftMilliseconds)))
    }

    private static func reply(
        _ asked: SourceRequest, _ source: SourceDeclaration, _ wishes: SourceWishes?, _ isApplied: Bool,
        isDetailed: Bool
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.string("source", asked.source)
        writer.string("request", asked.id)
        writer.string("action", asked.action.word)
        writer.bool("applied", isApplied)
        writer.key("paused")
        let pause = wishes?.pause ?? (asked.action == .pause ? asked : nil)
        if let pause, asked.action != .resume {
            writer.beginObject()
            // Of somebody else's no more than `GET /sources` shows.
            let isShown = isDetailed || pause.id == asked.id
            writer.key("by")
            writer.optional(isShown ? pause.by : nil)
            writer.key("reason")
            writer.optional(isShown ? pause.reason : nil)
            writer.key("at")
            writer.time(pause.atMilliseconds)
            writer.endObject()
        } else {
            writer.null()
        }
        writer.key("note")
        writer.optional(note(asked.action, source, isPaused: pause != nil))
        writer.endObject()
        return writer.bytes
    }

    private static func note(_ action: SourceRequest.Action, _ source: SourceDeclaration, isPaused: Bool) -> String? {
        switch action {
        case .resume, .giveUp: return nil
        case .pause:
            guard case .postgres(let table) = source.connector else { return nil }
            return
                "until it is resumed the server keeps its log for the slot \(table.slot), and its disk may fill: watch lag_bytes"
        case .snapshot: return isPaused ? "the source is paused: it is read once that is resumed" : nil
        }
    }
}

extension JSONWriter {
    /// A request with what became of it.
    ///
    /// - Parameter isDetailed: whether the caller may see who asked, and why.
    fileprivate mutating func answered(_ answered: AnsweredRequest, isDetailed: Bool) {
        let request = answered.request
        beginObject()
        string("request", request.id)
        string("action", request.action.word)
        key("at")
        time(request.atMilliseconds)
        key("by")
        optional(isDetailed ? request.by : nil)
        key("reason")
        optional(isDetailed ? request.reason : nil)
        var range = SourceKeyRange()
        var snapshot: String?
        switch request.action {
        case .snapshot(let wanted): range = wanted
        case .giveUp(let id): snapshot = id
        case .pause, .resume: break
        }
        key("from")
        optional(isDetailed ? range.from : nil)
        key("to")
        optional(isDetailed ? range.to : nil)
        key("snapshot")
        optional(snapshot)
        string("outcome", answered.word)
        key("outcome_at")
        time(answered.outcome?.atMilliseconds)
        key("outcome_reason")
        optional(isDetailed ? answered.outcome?.reason : nil)
        endObject()
    }
}
