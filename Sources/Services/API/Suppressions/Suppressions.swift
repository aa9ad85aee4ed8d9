import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import Records
import Store
import Telemetry

/// `/suppressions`: takes what came of an event, a page or a user out of replies, and brings it back.
struct Suppressions: Sendable {
    let access: AccessGuard
    /// Nil in a process that has no broker.
    let desk: SuppressionDesk?
    let turns: RequestTurns
    let logger: Logger
    private let lane = Lane(name: "suppressions")

    /// How long a reply waits until the index applies it.
    private static let appliedMillisecondsMax = 1_500
    private static let lookMilliseconds = 15
    private static let publishMillisecondsMax = 10_000
    private static let caughtUpMillisecondsMax = 2_000

    init(access: AccessGuard, desk: SuppressionDesk?, turns: RequestTurns, logger: Logger) {
        self.access = access
        self.desk = desk
        self.turns = turns
        self.logger = logger
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.suppress, async: { input, request in try await suppress(input, request) })
        set.add(Contract.suppressions, async: { input, request in try await list(input, request) })
        set.add(Contract.liftSuppression, async: { input, request in try await lift(input, request) })
    }

    /// `POST /suppressions`
    private func suppress(_ input: SuppressionInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        var generator = SystemRandomNumberGenerator()
        let suppression = Suppression(
            id: Suppression.makeID(using: &generator), tenant: tenant, target: try input.target(),
            reason: input.reason, by: try who(request), atMilliseconds: SystemClock.epochMilliseconds())
        let desk = try open()
        let applied = try await turns.run(.feed, request) { deadline in
            try await hand(.suppress(suppression), to: desk, deadline) { $0?.isApplied == true }
        }
        logger.info(
            "suppressed",
            [
                "id": suppression.id, "tenant": tenant.text, "target": suppression.target.kind.rawValue,
                "by": suppression.by, "reason": suppression.reason,
            ])
        var writer = JSONWriter()
        writer.beginObject()
        writer.suppression(
            applied ?? SuppressionRecord(number: 0, suppression: suppression, indexVersion: 0),
            isApplied: applied != nil)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `DELETE /suppressions/{suppression_id}`
    private func lift(_ input: SuppressionLiftInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let by = try who(request)
        let desk = try open()
        let entry = SuppressionEntry.lift(
            id: input.id, tenant: tenant, reason: input.reason, by: by, atMilliseconds: SystemClock.epochMilliseconds())
        let (known, lifted) = try await turns.run(.feed, request) { deadline in
            var known = try await find(input.id, tenant, desk, deadline)
            // One that the index has not come to yet is lifted, too; where it has come to all that there is, there is no such
            // one.
            if known == nil {
                guard Suppression.isID(input.id) else { throw Self.unknown(input.id) }
                if await isCaughtUp(desk, deadline) {
                    known = try await find(input.id, tenant, desk, deadline)
                    guard known != nil else { throw Self.unknown(input.id) }
                }
            }
            // Lifted before: as it was.
            if known?.lift != nil { return (known, known) }
            return (
                known,
                try await hand(entry, to: desk, deadline) { $0?.lift != nil && $0?.isApplied == true }
            )
        }
        logger.info(
            "lifted", ["id": input.id, "tenant": tenant.text, "by": by, "reason": input.reason])
        var writer = JSONWriter()
        writer.beginObject()
        if let record = lifted ?? known {
            writer.suppression(record, isApplied: lifted?.isApplied == true)
        } else {
            writer.unknownSuppression(id: input.id)
        }
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `GET /suppressions`, the newest first.
    private func list(_ input: SuppressionListInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let desk = try open()
        let before = input.before.map(Int64.init) ?? .max
        let found = try await turns.run(.feed, request) { deadline in
            try await lane.run { try desk.list(tenant, before, input.limit, deadline.leftMilliseconds) }
        }
        var writer = JSONWriter(capacity: 400 * (found.count + 1))
        writer.beginObject()
        writer.key("suppressions")
        writer.beginArray()
        for record in found {
            writer.beginObject()
            writer.suppression(record, isApplied: record.isApplied)
            writer.endObject()
        }
        writer.endArray()
        writer.key("next_before")
        writer.optional(found.count == input.limit ? found.last?.number : nil)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    // MARK: Parts

    private func open() throws -> SuppressionDesk {
        guard let desk else { throw APIError.unavailable("suppressing", "this process has no broker") }
        return desk
    }

    /// Who asks: the name of a key, and its id.
    private func who(_ request: HTTPRequest) throws -> String {
        guard case .key(let key) = try access.caller(request) else { return "" }
        return "\(key.name) (\(key.id))"
    }

    /// Hands an entry over, and waits a moment for the index.
    ///
    /// - Returns: what the index says of it; nil where it has not come to it in time.
    private func hand(
        _ entry: SuppressionEntry, to desk: SuppressionDesk, _ deadline: Deadline,
        until isApplied: (SuppressionRecord?) -> Bool
    ) async throws -> SuppressionRecord? {
        do {
            let timeout = min(Self.publishMillisecondsMax, deadline.leftMilliseconds)
            try await lane.run { try desk.publish(entry, timeout) }
        } catch {
            if error is CancellationError { throw error }
            throw APIError.unavailable("the topic of suppressions", "\(error)")
        }
        let patience = Deadline(milliseconds: min(Self.appliedMillisecondsMax, deadline.leftMilliseconds))
        while !patience.hasPassed {
            // It is taken, whatever the index says.
            let found = try? await find(entry.id, entry.tenant, desk, patience)
            if isApplied(found) { return found }
            try await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
        }
        return nil
    }

    private func find(
        _ id: String, _ tenant: TenantID, _ desk: SuppressionDesk, _ deadline: Deadline
    ) async throws -> SuppressionRecord? {
        let timeout = max(1, deadline.leftMilliseconds)
        return try await lane.run { try desk.find(id, tenant, timeout) }
    }

    /// False also where broker or index do not say.
    private func isCaughtUp(_ desk: SuppressionDesk, _ deadline: Deadline) async -> Bool {
        let timeout = max(1, min(Self.caughtUpMillisecondsMax, deadline.leftMilliseconds))
        return (try? await lane.run { try desk.isCaughtUp(timeout) }) ?? false
    }

    private static func unknown(_ id: String) -> APIError {
        APIError(
            status: 404, type: "not_found", message: "there is no suppression with this id",
            faults: [
                InputFault(
                    type: "not_found", location: [.name("path"), .name("suppression_id")],
                    message: "names no suppression that the index applies or has applied", input: .string(id))
            ])
    }
}

extension JSONWriter {
    /// A lift of what the index knows nothing of yet.
    fileprivate mutating func unknownSuppression(id: String) {
        string("id", id)
        for name in Self.suppressionMembers {
            key(name)
            null()
        }
        bool("applied", false)
        key("index_version")
        null()
        key("lifted")
        null()
    }

    private static let suppressionMembers: [StaticString] = [
        "target", "name", "collection", "wiki", "partition", "offset", "reason", "by", "at",
    ]

    fileprivate mutating func suppression(_ record: SuppressionRecord, isApplied: Bool) {
        let suppression = record.suppression
        let target = suppression.target
        string("id", suppression.id)
        string("target", target.kind.rawValue)
        string("name", target.name)
        key("collection")
        optional(target.collection.isEmpty ? nil : target.collection)
        key("wiki")
        optional(target.wiki)
        key("partition")
        optional(target.place.map { Int64($0.topicPartition.partition) })
        key("offset")
        optional(target.place?.offset)
        string("reason", suppression.reason)
        string("by", suppression.by)
        key("at")
        time(suppression.atMilliseconds)
        bool("applied", isApplied)
        key("index_version")
        optional(record.indexVersion > 0 ? record.indexVersion : nil)
        key("lifted")
        guard let lift = record.lift else {
            null()
            return
        }
        beginObject()
        string("reason", lift.reason)
        string("by", lift.by)
        key("at")
        time(lift.atMilliseconds)
        integer("index_version", lift.indexVersion)
        endObject()
    }
}
