import Access
import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import Health
import KafkaAccess
import Records
import Sources
import Telemetry

/// Takes documents that come over HTTP and hands them to their source's topic: `POST /ingest/{source}`, and what writes
/// to `/documents`.
///
/// All or nothing: a request of which one document is refused leaves nothing in the topic. It is answered once the
/// broker has acknowledged all of them.
struct Intake: Sendable {
    let access: AccessGuard
    /// Nil in a process that has no broker.
    let desk: IntakeDesk?
    let board: IntakeBoard
    let logger: Logger
    private let room: IntakeRoom
    private let quotas = IntakeQuotas()
    private let shelf: SecretShelf?
    /// Verifies and reads large bodies: megabytes of work on the threads of all requests would hold up the others.
    private let lane = Lane(name: "intake-bodies")
    /// What requests are verified by whose source nobody knows, so that they are answered as others are.
    private let decoy = [(0..<32).map { _ in UInt8.random(in: 0...255) }]

    /// Bodies up to that are verified and read where they are.
    private static let inlineBytesMax = 64 << 10
    /// Bytes of an `Idempotency-Key` at most.
    static let keyBytesMax = 200

    init(access: AccessGuard, desk: IntakeDesk?, metrics: MetricsRegistry, logger: Logger) {
        self.access = access
        self.desk = desk
        self.logger = logger
        room = IntakeRoom()
        board = IntakeBoard(metrics, room: room)
        shelf = desk.map { _ in SecretShelf() }
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.ingest, async: { input, request in try await ingest(input, request) })
    }

    // MARK: Webhooks

    /// `POST /ingest/{source}`
    private func ingest(_ input: IngestInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let desk = try open()
        guard let (source, webhook) = try declared(input.source, request, in: desk) else {
            _ = try await verified(request, key: input.key, by: decoy)
            throw refusal("signature_invalid", Self.notRight)
        }
        var signature: String?
        if let file = webhook.secretFile {
            signature = try await verify(request, key: input.key, by: file, of: source)
        }
        // Strangers take no part of the room: by now it is known who asks.
        let share = try room.enter(bytes: request.body.count)
        let taken = try await take(
            request, to: source, rate: webhook.documentsPerSecond, key: input.key, signature: signature, needsID: false,
            share: share)
        return .fresh(TakenReply(taken).json, status: 202)
    }

    /// The webhook that a path names, where the request may know of it. Who comes by a signature alone may know of those with a
    /// secret, of any tenant; who comes with a key, of its tenant's.
    ///
    /// - Returns: nil where nobody's signature could be right.
    /// - Throws: 404 for who has a key, with the names of those that it may know of.
    private func declared(
        _ name: String, _ request: HTTPRequest, in desk: IntakeDesk
    ) throws -> (SourceDeclaration, WebhookDeclaration)? {
        if comesBySignature(request) {
            for source in desk.sources() where source.name.text == name {
                if case .webhook(let webhook) = source.connector, webhook.secretFile != nil { return (source, webhook) }
            }
            return nil
        }
        let tenant = try access.tenant(of: request)
        var known: [String] = []
        for source in desk.sources() where source.tenant == tenant {
            guard case .webhook(let webhook) = source.connector else { continue }
            if source.name.text == name { return (source, webhook) }
            known.append(source.name.text)
        }
        throw Self.unknown("source", name, kind: "webhook", known: known, parameter: "source")
    }

    static func unknown(
        _ what: String, _ name: String, kind: String, known: [String], parameter: String
    ) -> EndpointError {
        let there =
            known.isEmpty
            ? "none is declared in this process (SOURCES_FILE)" : "there are \(known.sorted().joined(separator: ", "))"
        return EndpointError(
            status: 404, type: "not_found",
            message: "there is no \(what) of this name with the connector \(kind); \(there)",
            faults: [
                InputFault(
                    type: "not_found", location: [.name(parameter == "source" ? "path" : "query"), .name(parameter)],
                    message: "names no \(what) with the connector \(kind)", input: .string(name))
            ])
    }

    // MARK: Signatures

    /// Whether a request comes by a signature and no key. Its head says so, at its admission as when its body is there, whatever
    /// becomes of sources and keys meanwhile.
    private func comesBySignature(_ request: HTTPRequest) -> Bool {
        request.headers[WebhookSignature.header] != nil && !access.presentsKey(request)
    }

    /// Lets a request in by its signature, as far as its head tells: before anything of the body is read. Which sources there are
    /// makes no difference. It counts against its address until the signature proves right.
    ///
    /// - Returns: false where that is not how it comes; then it needs a key.
    /// - Throws: 401 where it cannot be right, 429 after too many such.
    func admitSigned(_ head: HTTPRequest) throws -> Bool {
        guard desk != nil, comesBySignature(head) else { return false }
        try access.countUnsigned(head)
        guard let signature = Self.signature(of: head) else {
            throw refusal(
                "signature_invalid",
                "\(WebhookSignature.header) must be t=<seconds since 1970>,v1=<64 hexadecimal digits>")
        }
        guard signature.isFresh(nowMilliseconds: SystemClock.epochMilliseconds()) else {
            throw stale()
        }
        return true
    }

    private func stale() -> APIError {
        refusal(
            "signature_stale",
            "the signature's time is more than \(WebhookSignature.secondsMax) s from this server's; sign again, and look at "
                + "both clocks")
    }

    private static func signature(of request: HTTPRequest) -> WebhookSignature? {
        guard request.headers.count(of: WebhookSignature.header) == 1 else { return nil }
        return request.headers[WebhookSignature.header].flatMap { WebhookSignature($0) }
    }

    /// - Throws: 401 where the signature is missing, old or wrong, 503 where the secret cannot be read.
    /// - Returns: what a request that is played again has, too.
    private func verify(
        _ request: HTTPRequest, key: String?, by file: String, of source: SourceDeclaration
    ) async throws -> String {
        let name = source.name.text
        guard let signature = Self.signature(of: request) else {
            throw noted(
                refusal(
                    "signature_missing",
                    "requests of this source are signed: one \(WebhookSignature.header), as docs/sources.md says"), name
            )
        }
        // Who has a key, too, was let in by that, and its signature was not looked at before.
        guard comesBySignature(request) || signature.isFresh(nowMilliseconds: SystemClock.epochMilliseconds()) else {
            throw noted(stale(), name)
        }
        let secrets: WebhookSecrets
        do {
            guard let shelf else { throw APIError.unavailable("the broker", "this process has none") }
            secrets = try await shelf.secrets(in: file)
        } catch let fault as WebhookSecrets.Fault {
            logger.error("the secrets of a webhook cannot be read", ["source": name, "error": "\(fault)"])
            throw noted(APIError.unavailable("the source's secret", "the log says why"), name)
        }
        guard let identity = try await verified(request, key: key, by: secrets.secrets) else {
            throw noted(refusal("signature_invalid", Self.notRight), name)
        }
        if comesBySignature(request) { access.uncountUnsigned(request) }
        try access.countSigned(source: name)
        return identity
    }

    private func verified(_ request: HTTPRequest, key: String?, by secrets: [[UInt8]]) async throws -> String? {
        try await work(on: request) {
            try Self.signature(of: request)?.verified(key: key ?? "", body: request.body, by: secrets)
        }
    }

    private static let notRight = "the signature is not right"

    private func refusal(_ type: String, _ message: String) -> APIError {
        access.refusal(401, type, message, ["WWW-Authenticate": "Medallion-Signature"])
    }

    /// Runs what takes time by the size of a body.
    private func work<T: Sendable>(
        on request: HTTPRequest, _ body: @escaping @Sendable () throws -> T
    ) async throws -> T {
        let isSmall = request.body.count <= Self.inlineBytesMax && request.headers["content-encoding"] == nil
        return try await isSmall ? body() : lane.run(body)
    }

    // MARK: Taking

    /// Documents that the broker has.
    struct Taken: Sendable {
        let source: SourceDeclaration
        /// In the request's order.
        let places: [PublishedPlace]
    }

    /// Checks a request's documents and hands them to the topic.
    ///
    /// - Parameters:
    ///   - rate: documents a second that the source takes.
    ///   - key: the `Idempotency-Key`.
    ///   - signature: of a request that is signed.
    ///   - only: the id that the one document must have.
    func take(
        _ request: HTTPRequest, to source: SourceDeclaration, rate: Int?, key: String?, signature: String? = nil,
        needsID: Bool, only: String? = nil, share: IntakeRoom.Share
    ) async throws -> Taken {
        guard case .document(let logic) = source.logic else {
            throw APIError.unavailable("the source", "its logic takes no documents")
        }
        try await demandRunning(source)
        let batch: PublishedBatch
        do {
            let body = try await work(on: request) {
                try IntakeBody(request, idPath: logic.mapping.id.text, needsID: needsID, share: share)
            }
            if let only { try Self.check(body, only: only, at: logic.mapping.id.text) }
            try quotas.take(body.lines.count, of: source.name.text, rate: rate)
            let identity = DocumentIdentity(key: key, hasVersions: logic.mapping.version != nil, signature: signature)
            batch = try await work(on: request) {
                try identity.batch(body, arrivalMilliseconds: SystemClock.epochMilliseconds())
            }
        } catch let error as EndpointError {
            throw noted(error, source.name.text)
        }
        return try await hand(batch, to: source, lines: batch.count, share: share)
    }

    /// Hands one object of our own making to the topic.
    func take(
        _ object: [UInt8], key documentKey: [UInt8], to source: SourceDeclaration, rate: Int?, key: String?,
        hasVersions: Bool, share: IntakeRoom.Share
    ) async throws -> Taken {
        try await demandRunning(source)
        do throws(EndpointError) {
            try share.grow(by: IntakeRoom.recordBytes)
            try quotas.take(1, of: source.name.text, rate: rate)
        } catch {
            throw noted(error, source.name.text)
        }
        let identity = DocumentIdentity(key: key, hasVersions: hasVersions, signature: nil)
        let batch = try identity.batch(
            object, [IntakeBody.Line(range: 0..<object.count, number: 1, key: documentKey)],
            arrivalMilliseconds: SystemClock.epochMilliseconds())
        return try await hand(batch, to: source, lines: 1, share: share)
    }

    /// - Throws: 503 where an operator has the source stand still, or that is not known yet.
    private func demandRunning(_ source: SourceDeclaration) async throws {
        let (desk, name) = (try open(), source.name.text)
        // At its start a process knows after some milliseconds.
        for _ in 0..<Self.wishLooksMax where desk.wishes(name) == nil {
            try await Task.sleep(for: .milliseconds(Self.wishLookMilliseconds))
        }
        guard let wishes = desk.wishes(name) else {
            throw noted(
                APIError.unavailable(
                    "the source",
                    "it is not known yet whether it is paused: "
                        + (desk.wishesFault() ?? "the topic of requests to sources is not read yet")),
                name)
        }
        guard wishes.pause != nil else { return }
        throw noted(
            APIError(
                status: 503, type: "source_paused",
                message: "the source is paused: none of these documents was taken; send them again later",
                headers: ["Retry-After": Self.pausedRetrySeconds]), name)
    }

    private static let wishLooksMax = 40
    private static let wishLookMilliseconds = 50
    private static let pausedRetrySeconds = "15"

    private static func check(_ body: IntakeBody, only: String, at path: String) throws(EndpointError) {
        guard body.lines.count == 1, body.lines[0].key == Array(only.utf8) else {
            throw .invalid([
                InputFault(
                    type: "value_error", location: [.name("body"), .name(path)],
                    message: "must be the one document whose id the path names", input: .string(only))
            ])
        }
    }

    private func hand(
        _ batch: PublishedBatch, to source: SourceDeclaration, lines: Int, share: IntakeRoom.Share
    ) async throws -> Taken {
        let desk = try open()
        let start = SystemClock.monotonicNanoseconds()
        do {
            let places = try await desk.publisher.publish(batch, to: source.topic)
            withExtendedLifetime(share) {}
            board.accepted(
                lines, bytes: batch.valueBytes, of: source.name.text,
                nanoseconds: SystemClock.monotonicNanoseconds() - start)
            return Taken(source: source, places: places)
        } catch let fault as PublishFault {
            logger.warning("documents were not taken", ["source": source.name.text, "error": "\(fault)"])
            if case .notSent = fault { quotas.giveBack(lines, of: source.name.text) }
            throw noted(Self.told(fault), source.name.text)
        }
    }

    /// What a client is told; the log has the broker's own words, in which addresses stand.
    private static func told(_ fault: PublishFault) -> EndpointError {
        switch fault {
        case .notSent:
            return .unavailable("the broker", "none of these documents was taken; send them again")
        case .unconfirmed:
            return EndpointError(
                status: 503, type: "unconfirmed",
                message:
                    "the broker did not acknowledge all of the documents in time, and may have some of them: send the same again, with "
                    + "the same Idempotency-Key",
                headers: ["Retry-After": "1"])
        case .tooLarge(let index, _):
            return EndpointError(
                status: 413, type: "body_too_large",
                message:
                    "the broker refused document \(index + 1), or the batch that it was in, as too large, and may have others of the "
                    + "request: raise the topic's max.message.bytes, and send the same again, with the same Idempotency-Key"
            )
        }
    }

    /// Takes note of what is thrown.
    private func noted(_ error: EndpointError, _ source: String) -> EndpointError {
        board.refused(error.type, error.message, of: source)
        return error
    }

    // MARK: Parts

    /// Adds what this process knows of the sources whose documents it takes.
    func added(to sources: [SourceStatus]) -> [SourceStatus] {
        guard desk != nil else { return sources }
        let words: [ConnectorDeclaration.Kind] = [.webhook, .documents]
        return sources.map { source in
            words.contains { $0.rawValue == source.connector } ? board.added(to: source) : source
        }
    }

    func open() throws -> IntakeDesk {
        guard let desk else { throw APIError.unavailable("taking documents", "this process has no broker") }
        return desk
    }

    func enter(_ request: HTTPRequest) throws(EndpointError) -> IntakeRoom.Share {
        try room.enter(bytes: request.body.count)
    }
}
