import Access
import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import JSONScan
import Synchronization
import Telemetry

/// `/generations`, `/logics`, `/replays` and `/quarantine`: what changes what all tenants are shown, so it takes a key with the role `write`
/// of an administrator of the platform, or of the only tenant there is. Each change leaves a line in the log with the key.
struct OperatorRequests: Sendable {
    /// Nil in a process that has neither lake nor index.
    let control: (any PlatformControl)?
    let access: AccessGuard
    let turns: RequestTurns
    let logger: Logger
    /// Streams of progress that are open.
    private let open = Count()
    private static let streamsMax = 32
    private static let progressNanoseconds: UInt64 = 500_000_000

    private final class Count: Sendable {
        let value = Atomic(0)
    }

    init(control: (any PlatformControl)?, access: AccessGuard, turns: RequestTurns, logger: Logger) {
        self.control = control
        self.access = access
        self.turns = turns
        self.logger = logger
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.generations,
            async: { _, request in
                .fresh(Self.list("generations", try await allowed(request).generations()))
            })
        set.add(Contract.promote, async: { input, request in try await promote(input, request) })
        set.add(Contract.prune, async: { input, request in try await prune(input, request) })
        set.add(
            Contract.logics,
            async: { _, request in
                .fresh(Self.list("logics", try await allowed(request).logics()))
            })
        set.add(
            Contract.replays,
            async: { _, request in
                .fresh(Self.list("replays", try await allowed(request).replays()))
            })
        set.add(Contract.startReplay, async: { input, request in try await start(input, request) })
        set.add(
            Contract.replay,
            async: { input, request in
                .fresh(try await found(input.id, allowed(request)).json)
            })
        set.add(
            Contract.replayProgress,
            stream: { input, request, _, writer in try await progress(input, request, to: writer) })
        set.add(Contract.changeReplay, async: { input, request in try await change(input, request) })
        set.add(
            Contract.endReplay,
            async: { input, request in
                let control = try allowed(request)
                note("a replay is ended", input.id, request)
                return .fresh(try await control.end(input.id))
            })
        quarantineEndpoints(in: &set)
    }

    private func quarantineEndpoints(in set: inout EndpointSet) {
        set.add(
            Contract.quarantine,
            async: { input, request in
                .fresh(
                    Self.list(try await allowed(request).quarantined(input.selection, deadline: turns.deadline)))
            })
        set.add(
            Contract.quarantinedRecord,
            async: { input, request in
                let control = try allowed(request)
                guard let record = try await control.quarantinedRecord(input.selection, deadline: turns.deadline)
                else {
                    throw APIError(
                        status: 404, type: "not_found",
                        message: "no such record is in quarantine; GET /quarantine lists them")
                }
                return .fresh(record)
            })
        set.add(
            Contract.redrive,
            async: { input, request in
                try await change(input, .redrive(correction: input.value.map { Array($0.utf8) }), request)
            })
        set.add(
            Contract.discard,
            async: { input, request in
                try await change(input, .discard(reason: input.reason), request)
            })
    }

    /// - Throws: 403 where the caller may not see all tenants' data, 503 in a process that has no lake.
    private func allowed(_ request: HTTPRequest) throws -> any PlatformControl {
        guard access.seesAllTenants(request) else {
            throw access.refusal(
                403, "forbidden", "this is about all tenants: it takes the key of an administrator of the platform")
        }
        guard let control else { throw APIError.unavailable("the lake", "this process has none") }
        return control
    }

    private func found(
        _ id: String, _ control: any PlatformControl
    ) async throws -> (json: [UInt8], isOver: Bool) {
        guard let found = try await control.replay(id) else {
            throw APIError(
                status: 404, type: "not_found", message: "there is no replay of this id; GET /replays lists them")
        }
        return found
    }

    /// For whoever asks later who did it.
    private func note(_ words: String, _ what: String, _ request: HTTPRequest) {
        logger.info(
            words, ["what": what, "key": access.names(request.headers).key ?? "", "request_id": request.id])
    }

    private static func list(_ name: String, _ objects: [[UInt8]]) -> [UInt8] {
        var writer = begun(name, objects)
        writer.endObject()
        return writer.bytes
    }

    private static func list(_ found: QuarantineListing) -> [UInt8] {
        var writer = begun("records", found.records)
        writer.key("next_cursor")
        writer.optional(found.nextCursor)
        writer.key("has_more")
        writer.bool(found.hasMore)
        writer.endObject()
        return writer.bytes
    }

    private static func begun(_ name: String, _ objects: [[UInt8]]) -> JSONWriter {
        var writer = JSONWriter(capacity: objects.reduce(100) { $0 + $1.count + 1 })
        writer.beginObject()
        writer.key(dynamic: name)
        writer.beginArray()
        for object in objects { writer.raw(object) }
        writer.endArray()
        return writer
    }

    // MARK: Generations

    private func promote(_ input: GenerationInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let control = try allowed(request)
        note("a generation is promoted", "\(input.generation)", request)
        try await control.promote(Int64(input.generation), waitMilliseconds: input.waitSeconds * 1_000)
        return Self.state("active", of: input.generation)
    }

    private func prune(_ input: GenerationInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let control = try allowed(request)
        note("a generation is pruned", "\(input.generation)", request)
        try await control.prune(Int64(input.generation))
        return Self.state("pruned", of: input.generation)
    }

    private static func state(_ state: String, of generation: Int) -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.integer("generation", generation)
        writer.string("state", state)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    // MARK: Replays

    private func start(_ input: ReplayStartInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let control = try allowed(request)
        var start = input.start
        start.keyID = access.names(request.headers).key ?? ""
        note(start.isDryRun ? "a dry run begins" : "a replay begins", start.source ?? "all sources", request)
        return .fresh(try await control.start(start), status: 202)
    }

    private func change(_ input: ReplayChangeInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let control = try allowed(request)
        let (isPaused, rate) = (input.wish.isPaused, input.wish.rate)
        let words = [isPaused.map { $0 ? "paused" : "goes on" }, rate.map { "rate \($0)" }].compactMap { $0 }
        note("a replay is changed", "\(input.id): \(words.joined(separator: ", "))", request)
        return .fresh(try await control.change(input.id, isPaused: isPaused, rate: rate))
    }

    private func progress(_ input: ReplayIDInput, _ request: HTTPRequest, to writer: HTTPStreamWriter) async throws {
        let control = try allowed(request)
        var found = try await found(input.id, control)
        let count = open.value.wrappingAdd(1, ordering: .relaxed).newValue
        defer { open.value.wrappingSubtract(1, ordering: .relaxed) }
        guard count <= Self.streamsMax else {
            throw APIError.unavailable("the progress", "\(Self.streamsMax) clients follow replays, as many as may")
        }
        writer.start(headers: EventFrame.headers)
        while !found.isOver {
            try await writer.write(EventFrame.bytes(event: "progress", data: found.json))
            try await Task.sleep(nanoseconds: Self.progressNanoseconds)
            // A stream outlives the key that it was asked for with.
            guard access.seesAllTenants(request) else { return }
            found = try await self.found(input.id, control)
        }
        try await writer.write(EventFrame.bytes(event: "end", data: found.json))
    }

    // MARK: Quarantine

    private func change(
        _ input: QuarantineInput, _ way: QuarantineChange.Way, _ request: HTTPRequest
    ) async throws -> HTTPResponse {
        let control = try allowed(request)
        var change = QuarantineChange(way)
        (change.forces, change.isDryRun) = (input.forces, input.isDryRun)
        let records = try await control.change(input.selection, change, deadline: turns.deadline)
        if !change.isDryRun {
            note("quarantined records are taken out", "\(records.count) records", request)
        }
        return .fresh(Self.list("records", records))
    }
}
