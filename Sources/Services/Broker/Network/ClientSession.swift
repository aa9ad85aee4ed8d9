import EventLoop

/// One client connection: cuts frames, hands requests out, and sends the answers in the order of the requests, which
/// the protocol demands, though they may be ready in another.
///
/// `@unchecked Sendable`, because only the reference travels, into completions that run on the loop: everything that
/// changes is touched on the loop's thread only, and ``BrokerLoop`` asserts that at each way in.
final class ClientSession: @unchecked Sendable {
    /// Requests of one connection that may wait for their answers.
    static let requestsInFlightMax = 64
    /// Output waiting for a slow reader, above which no further request of it is read.
    static let queuedOutputBytesMax = 8 << 20
    /// How long a connection may say nothing.
    static let idleMilliseconds = 600_000
    /// How long a frame may take to arrive, from its first byte.
    static let frameMilliseconds = 60_000

    let connection: TCPConnection
    private let owner: BrokerLoop
    private var assembler: FrameAssembler
    private var slots: [Slot] = []
    /// Number of the first slot; numbers go up by one per answered request.
    private var firstSlot = 0
    private var isPaused = false
    /// Produce requests that want no answer and are not written yet.
    private var unanswered = 0
    /// Bytes of answers that wait for those before them.
    private var readyBytes = 0
    private var mustFinish = false
    /// Fetches that wait for records.
    var waitingFetches: Set<Int> = []
    /// Requests of group members that wait for other members.
    var waitingGroupRequests: Set<GroupRequestToken> = []

    private struct Slot {
        var parts: [ResponsePart]?
        /// Memory that the request holds until it is answered; 0 where a job of the storage thread counts for it.
        var requestBytes: Int
        /// Bytes of `parts` that are in memory.
        var readyBytes = 0
    }

    init(connection: TCPConnection, owner: BrokerLoop) {
        self.connection = connection
        self.owner = owner
        assembler = FrameAssembler(bytesMax: owner.core.configuration.requestBytesMax)
    }

    /// The peer's address without its port.
    var peerHost: String {
        let host = connection.peer.prefix { $0 != ":" }
        guard connection.peer.hasPrefix("[") else { return String(host) }
        return String(connection.peer.dropFirst().prefix { $0 != "]" })
    }

    func start() {
        // Regions of files cost no memory, and reading stops long before this much is queued as bytes.
        connection.outputBytesMax = 1 << 34
        connection.outputStallMillisecondsMax = 60_000
        connection.lowWatermarkBytes = Self.queuedOutputBytesMax / 2
        connection.onRead = { [self] bytes in read(bytes) }
        connection.onDrained = { [self] in updatePause() }
        connection.onPeerFinished = { [self] in peerFinished() }
        connection.onClose = { [self] reason in closed(reason) }
        connection.setDeadline(afterMilliseconds: Self.idleMilliseconds)
    }

    // MARK: Input

    /// Bytes of a frame that is not whole.
    var heldBytes: Int { assembler.byteCount }

    private func read(_ bytes: UnsafeRawBufferPointer) -> Int {
        var total = 0
        while total < bytes.count, !isPaused, !connection.isClosed {
            var consumed = 0
            let held = assembler.byteCount
            let wasBetweenFrames = assembler.lengthExpected == nil
            let step = assembler.take(UnsafeRawBufferPointer(rebasing: bytes[total...]), consumed: &consumed)
            total += consumed
            switch step {
            case .needsMore:
                owner.requestBytes += assembler.byteCount - held
                if wasBetweenFrames, assembler.lengthExpected != nil {
                    connection.setDeadline(afterMilliseconds: Self.frameMilliseconds)
                }
                owner.relieveMemory()
                return total
            case .refused(let reason):
                close(reason)
                return total
            case .frame(let frame):
                owner.requestBytes -= held
                connection.setDeadline(afterMilliseconds: Self.idleMilliseconds)
                handle(frame)
            }
        }
        return total
    }

    private func handle(_ frame: [UInt8]) {
        do throws(WireError) {
            try owner.handle(frame, from: self)
        } catch {
            close(error.description)
            return
        }
        updatePause()
    }

    private func updatePause() {
        guard !connection.isClosed else { return }
        let isMemoryScarce = owner.requestBytes > owner.core.configuration.requestMemoryBytesMax / 2
        let inFlight = slots.count + unanswered
        let mustPause =
            inFlight >= Self.requestsInFlightMax
            || connection.queuedOutputBytes + readyBytes > Self.queuedOutputBytesMax
            || (isMemoryScarce && inFlight > 0)
        guard mustPause != isPaused else { return }
        isPaused = mustPause
        if mustPause { connection.pauseReading() } else { connection.resumeReading() }
    }

    /// A request that wants no answer waits to be written: it counts like one that does.
    func beginUnanswered() {
        unanswered += 1
    }

    func endUnanswered() {
        unanswered -= 1
        updatePause()
    }

    // MARK: Output

    /// Reserves the next place in the row of answers.
    func reserveSlot(requestBytes: Int = 0) -> Int {
        slots.append(Slot(parts: nil, requestBytes: requestBytes))
        owner.requestBytes += requestBytes
        return firstSlot + slots.count - 1
    }

    /// Fills a reserved place and sends what is now ready in order.
    func answer(_ slot: Int, _ header: RequestHeader, _ parts: [ResponsePart]) {
        guard !connection.isClosed, slot >= firstSlot, slot - firstSlot < slots.count else { return }
        // The answer's header: correlation id, and tagged fields but for ApiVersions, whose reader may not know them.
        var head = WireWriter(isFlexible: header.isFlexible && header.api != .apiVersions)
        let headBytes = head.isFlexible ? 5 : 4
        head.int32(Int32(clamping: parts.reduce(headBytes) { $0 + $1.byteCount }))
        head.int32(header.correlationID)
        head.tags()
        var ready = 0
        for case .bytes(let bytes) in parts { ready += bytes.count }
        slots[slot - firstSlot].parts = [.bytes(head.take())] + parts
        slots[slot - firstSlot].readyBytes = ready
        readyBytes += ready
        sendReady()
    }

    private func sendReady() {
        var sent = 0
        while sent < slots.count, let parts = slots[sent].parts {
            owner.requestBytes -= slots[sent].requestBytes
            readyBytes -= slots[sent].readyBytes
            for part in parts { send(part) }
            sent += 1
        }
        slots.removeFirst(sent)
        firstSlot += sent
        if mustFinish, slots.isEmpty { connection.finish(lingerMilliseconds: 0) }
        updatePause()
    }

    private func send(_ part: ResponsePart) {
        switch part {
        case .bytes(let bytes): connection.write(bytes)
        case .region(let region):
            connection.write(
                FileRegion(
                    owner: region.file, descriptor: region.file.descriptor, offset: Int64(region.position),
                    length: region.byteCount))
        }
    }

    // MARK: End

    /// Closes the connection because of what the client sent, with a log line.
    func close(_ reason: String) {
        guard !connection.isClosed else { return }
        owner.reportMalformed(peer: connection.peer, reason)
        connection.close()
    }

    private func peerFinished() {
        mustFinish = true
        if slots.isEmpty { connection.finish(lingerMilliseconds: 0) }
    }

    private func closed(_ reason: TCPCloseReason) {
        owner.requestBytes -= slots.reduce(assembler.byteCount) { $0 + $1.requestBytes }
        slots = []
        owner.remove(self)
    }
}
