import EventLoop
import Synchronization
import Telemetry

/// The network side: all client sessions, the fetches that wait, and the requests' handlers, on one event loop.
///
/// `@unchecked Sendable`, because everything mutable is touched on the loop's thread only: by connection closures,
/// which the loop calls there, and by closures posted to it; each way in asserts it.
final class BrokerLoop: @unchecked Sendable {
    let loop: EventLoop
    let core: BrokerCore
    /// The port that clients are told; set once, when the listener has it, before the first client can ask.
    var port: UInt16 {
        get { portBox.withLock { $0 } }
        set { portBox.withLock { $0 = newValue } }
    }
    private let portBox = Mutex<UInt16>(0)
    private var sessions: [ObjectIdentifier: ClientSession] = [:]
    var waiters = FetchWaiters()
    /// Bytes that requests hold: frames half received, requests that wait for something, and the storage thread's jobs,
    /// also of connections that are closed by now.
    var requestBytes = 0 {
        didSet { core.metrics.requestBytes.set(Double(requestBytes)) }
    }
    /// Checks the batches of Produce requests.
    var validator = BatchValidator()
    /// Consumer groups with members.
    var groups: GroupCoordinator
    /// Who waits for an answer that depends on other members.
    var groupRequests: [GroupRequestToken: GroupRequest] = [:]
    var groupToken = 0
    /// A look at the groups' limits in time is scheduled.
    var isTicking = false
    private var reports = ReportLimiter()
    private var isStopping = false

    init(loop: EventLoop, core: BrokerCore) {
        self.loop = loop
        self.core = core
        groups = GroupCoordinator(limits: core.configuration.groupLimits)
    }

    func accept(_ connection: TCPConnection) {
        loop.assertInLoop()
        guard !isStopping else { return connection.close() }
        let session = ClientSession(connection: connection, owner: self)
        sessions[ObjectIdentifier(session)] = session
        core.metrics.connections.set(Double(sessions.count))
        session.start()
    }

    func remove(_ session: ClientSession) {
        for id in session.waitingFetches { waiters.remove(id)?.timer.cancel() }
        session.waitingFetches = []
        for token in session.waitingGroupRequests { groupRequests[token] = nil }
        session.waitingGroupRequests = []
        sessions[ObjectIdentifier(session)] = nil
        core.metrics.connections.set(Double(sessions.count))
    }

    /// Sends what is queued and closes every connection; `isEmpty` turns true when all are gone.
    func finish(whenEmpty: @escaping @Sendable () -> Void) {
        loop.assertInLoop()
        isStopping = true
        for session in sessions.values { session.connection.finish(lingerMilliseconds: 0) }
        waitUntilEmpty(whenEmpty)
    }

    private func waitUntilEmpty(_ whenEmpty: @escaping @Sendable () -> Void) {
        guard !sessions.isEmpty else { return whenEmpty() }
        loop.schedule(afterMilliseconds: 5) { [self] in waitUntilEmpty(whenEmpty) }
    }

    /// Runs a storage round's completions and answers the fetches that waited for what has grown.
    func roundFinished(_ completions: [@Sendable () -> Void], _ grown: [PartitionLog]) {
        loop.assertInLoop()
        for completion in completions { completion() }
        for log in grown { wakeFetches(of: log) }
    }

    /// Where requests hold more memory than they may together, the connection with the largest unfinished frame goes,
    /// whoever it is that just asked for more.
    func relieveMemory() {
        guard requestBytes > core.configuration.requestMemoryBytesMax else { return }
        _ = closeGreediest()
    }

    /// - Returns: whether there was an unfinished frame.
    private func closeGreediest() -> Bool {
        guard let greediest = sessions.values.max(by: { $0.heldBytes < $1.heldBytes }), greediest.heldBytes > 0 else {
            return false
        }
        reportMalformed(
            peer: greediest.connection.peer,
            "requests hold more memory than they may together; this one's unfinished frame the most")
        // Also one that is about to end by itself: its bytes are off when this returns.
        greediest.connection.close()
        return true
    }

    /// Makes room for a whole request by closing connections with unfinished frames, the greediest first; none of them
    /// where all together would not make enough.
    private func makeRoom(for bytes: Int) -> Bool {
        let bytesMax = core.configuration.requestMemoryBytesMax
        // A request that is alone may be larger than the bound.
        func fits(beside others: Int) -> Bool { others == 0 || others + bytes <= bytesMax }
        if fits(beside: requestBytes) { return true }
        let unfinished = sessions.values.reduce(0) { $0 + $1.heldBytes }
        guard fits(beside: requestBytes - unfinished) else { return false }
        while !fits(beside: requestBytes) {
            guard closeGreediest() else { return false }
        }
        return true
    }

    // MARK: The storage thread's jobs

    /// Gives the storage thread a job. What the request holds counts until the job calls ``release(_:)``, whatever
    /// becomes of the connection meanwhile. Unfinished frames of others make room for it.
    func submit(_ job: StorageThread.Job, holding bytes: Int, _ session: ClientSession) {
        guard makeRoom(for: bytes) else {
            return session.close("requests hold more memory than they may together, and this one would need more")
        }
        requestBytes += bytes
        if !core.storage.submit(job) {
            release(bytes)
            session.connection.close()
        }
    }

    func release(_ bytes: Int) {
        loop.assertInLoop()
        requestBytes -= bytes
    }

    /// Runs `work` on the storage thread and answers with what it returns, which is called on the loop.
    func change(
        _ header: RequestHeader, _ reader: WireReader, _ session: ClientSession,
        _ work: @escaping @Sendable (inout StorageState) -> @Sendable (inout WireWriter) -> Void
    ) {
        let slot = session.reserveSlot()
        let bytes = reader.memoryBytes
        let task: StorageThread.Task = { [self] state in
            let encode = work(&state)
            loop.execute { [self] in
                release(bytes)
                answer(slot, header, session, encode)
            }
        }
        submit(.task(task), holding: bytes, session)
    }

    /// Logs why a connection was closed, one line a second at most.
    func reportMalformed(peer: String, _ reason: String) {
        core.metrics.malformedRequests.increment()
        guard let count = reports.admit() else { return }
        core.logger.warning(
            "closed a connection", ["peer": peer, "reason": reason, "connections": "\(count)"])
    }

    // MARK: Requests

    /// Decodes a request and answers it, now or later.
    ///
    /// - Throws: when the bytes make no request; the connection is to be closed.
    func handle(_ frame: [UInt8], from session: ClientSession) throws(WireError) {
        loop.assertInLoop()
        var reader = WireReader(frame)
        let header: RequestHeader
        switch try RequestHeader.decode(&reader) {
        case .request(let decoded): header = decoded
        case .unsupportedAPIVersions(let correlationID):
            let plain = RequestHeader(api: .apiVersions, version: 0, correlationID: correlationID, clientID: nil)
            return answerAPIVersions(plain, error: .unsupportedVersion, session)
        }
        core.metrics.requests(header.api)?.increment()
        try dispatch(header, &reader, session)
    }

    private func dispatch(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        switch header.api {
        case .produce: try produce(header, &reader, session)
        case .fetch: try fetch(header, &reader, session)
        case .listOffsets: try listOffsets(header, &reader, session)
        case .metadata: try metadata(header, &reader, session)
        case .createTopics: try createTopics(header, &reader, session)
        case .offsetCommit: try offsetCommit(header, &reader, session)
        case .offsetFetch: try offsetFetch(header, &reader, session)
        case .findCoordinator: try findCoordinator(header, &reader, session)
        case .initProducerID: try initProducerID(header, &reader, session)
        case .joinGroup: try joinGroup(header, &reader, session)
        case .syncGroup: try syncGroup(header, &reader, session)
        case .heartbeat: try heartbeat(header, &reader, session)
        case .leaveGroup: try leaveGroup(header, &reader, session)
        case .listGroups: try listGroups(header, &reader, session)
        case .describeGroups: try describeGroups(header, &reader, session)
        case .deleteGroups: try deleteGroups(header, &reader, session)
        case .deleteTopics: try deleteTopics(header, &reader, session)
        case .createPartitions: try createPartitions(header, &reader, session)
        case .deleteRecords: try deleteRecords(header, &reader, session)
        case .offsetForLeaderEpoch: try offsetForLeaderEpoch(header, &reader, session)
        case .describeConfigs: try describeConfigs(header, &reader, session)
        case .incrementalAlterConfigs: try incrementalAlterConfigs(header, &reader, session)
        case .describeCluster: try describeCluster(header, &reader, session)
        case .alterConfigs, .describeLogDirs, .electLeaders, .alterPartitionReassignments,
            .listPartitionReassignments, .offsetDelete, .describeProducers:
            try answerTools(header, &reader, session)
        case .saslHandshake, .describeACLs, .createACLs, .deleteACLs, .describeClientQuotas, .alterClientQuotas,
            .describeUserScramCredentials, .alterUserScramCredentials, .describeTransactions, .listTransactions,
            .consumerGroupHeartbeat, .shareGroupHeartbeat:
            try refuse(header, &reader, session)
        case .apiVersions:
            // The client's name and version are of no use here; what follows them may grow in later versions.
            answerAPIVersions(header, error: .none, session)
        }
    }

    private func answerAPIVersions(_ header: RequestHeader, error: ErrorCode, _ session: ClientSession) {
        answer(session.reserveSlot(), header, session) { writer in
            APIVersionsResponse.encode(&writer, version: header.version, error: error)
        }
    }

    /// Encodes an answer of plain bytes into a reserved slot.
    func answer(_ slot: Int, _ header: RequestHeader, _ session: ClientSession, _ encode: (inout WireWriter) -> Void) {
        var writer = WireWriter(isFlexible: header.isFlexible)
        encode(&writer)
        session.answer(slot, header, [.bytes(writer.take())])
    }
}
