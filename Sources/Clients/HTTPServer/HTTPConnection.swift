import Bytes
import EventLoop

/// One client's connection: reads requests, one at a time, and sends their replies in order.
///
/// `@unchecked Sendable`, because it is confined to its loop: the TCP connection calls it there, tasks and stream
/// writers come back through `EventLoop.execute` or check `isInLoop`, and every entry from outside this module's
/// confined code asserts it.
final class HTTPConnection: @unchecked Sendable {
    enum State {
        case reading
        /// A handler has the request.
        case handling
        /// A stream writer has the connection.
        case streaming
        case over
    }

    let tcp: TCPConnection
    let context: HTTPLoopContext
    var state = State.reading
    /// Whether the peer is a proxy whose word counts, and which stands for many clients.
    let isPeerProxy: Bool
    /// Whether the connection has a share of its address, to be given back.
    var hasShare = false
    /// When it began to wait for a request or for the rest of one; milliseconds.
    var waitingSince = EventLoop.coarseMilliseconds()
    /// How long the client may take to read the last reply.
    var lingerMilliseconds = 2_000
    /// Why it is cut, where this side does it without a reply.
    var cutReason: HTTPCutReason?

    // The request being read. `framing` is nil while its head is not complete.
    private var parser: HTTPHeadParser
    private var framing: HTTPRequestHead.Framing?
    var match = HTTPRouter.Match.notFound
    private var body: [UInt8] = []
    private var chunks: ChunkedDecoder?
    private(set) var isTimingRequest = false
    /// What is still to come of a body that nobody will read; thrown away.
    private var discardLeft = 0

    // The request being read or answered.
    var request: HTTPRequest?
    var isKeptAlive = true
    var minorVersion = 1
    var exchange = 0
    var startedNanoseconds: Int64 = 0
    /// When the reply's head was queued; 0 before.
    var repliedNanoseconds: Int64 = 0
    var task: Task<Void, Never>?
    var writer: HTTPStreamWriter?
    var streamStatus: Int?
    /// Bytes given to the stream, without their coding.
    var streamBytes = 0
    var isChunked = false
    /// What admission set aside for the request, until it is answered.
    var hold: HTTPHold?
    var isInRead = false
    private(set) var isWaitingForDrain = false

    // Memory: of the request's head and body, of input behind it, and what of both the ledger knows.
    private var headBytes = 0
    private var bodyBytes = 0
    private(set) var leftBytes = 0
    private(set) var bookedBytes = 0

    /// Input that may wait behind an unanswered request, before reading pauses.
    private static let pipelinedInputBytesMax = 65_536
    /// Replies that may wait for a client who goes on sending requests.
    private static let pipelinedOutputBytesMax = 262_144
    /// The longest body that is read and thrown away to keep the connection; no more than what may wait behind a request.
    private static let discardBytesMax = pipelinedInputBytesMax
    /// Input behind a request that is not worth giving it up for.
    private static let smallBytes = 4_096
    /// Of a stream's head and the input behind it; heads of programs and browsers have a tenth.
    private static let largeBytes = 16_384
    /// A head's fields as strings, times its bytes on the wire.
    private static let headCost = 2

    static func accept(_ tcp: TCPConnection, in context: HTTPLoopContext) {
        let connection = HTTPConnection(tcp, context)
        context.add(connection)
        let configuration = context.configuration
        tcp.inputBytesMax = max(configuration.headBytesMax, pipelinedInputBytesMax) + 262_144
        tcp.outputStallMillisecondsMax = configuration.outputStallMillisecondsMax
        tcp.outputRateMin = configuration.outputRateMin
        tcp.outputWindowMilliseconds = configuration.outputWindowMilliseconds
        tcp.outputWaitMillisecondsMax = configuration.outputWaitMillisecondsMax
        tcp.outputLedger = context.output
        tcp.setUnsentBytesMax(configuration.unsentBytesMax)
        // A whole reply behind all that may wait before it.
        tcp.outputBytesMax =
            configuration.replyBytesMax + max(pipelinedOutputBytesMax, configuration.streamCutBytes) + 1_048_576
        tcp.onRead = { connection.read($0) }
        tcp.onPeerFinished = { connection.peerFinished() }
        tcp.onDrained = { connection.drained() }
        tcp.onDeadline = { connection.deadlinePassed() }
        tcp.onClose = { connection.closed($0) }
        guard connection.takeShare() else { return connection.refuseAddress() }
        tcp.setDeadline(afterMilliseconds: min(configuration.idleMillisecondsMax, configuration.requestMillisecondsMax))
    }

    private init(_ tcp: TCPConnection, _ context: HTTPLoopContext) {
        self.tcp = tcp
        self.context = context
        parser = HTTPHeadParser(limits: context.parserLimits)
        isPeerProxy = tcp.peerAddress.map { context.configuration.proxyTrust.isProxy($0) } ?? false
    }

    // MARK: Reading

    private func read(_ bytes: UnsafeRawBufferPointer) -> Int {
        isInRead = true
        defer { isInRead = false }
        var used = 0
        do throws(HTTPFault) {
            while true {
                if discardLeft > 0 {
                    let count = min(discardLeft, bytes.count - used)
                    discardLeft -= count
                    used += count
                    if discardLeft > 0 { break }
                }
                guard state == .reading else { break }
                if tcp.queuedOutputBytes > Self.pipelinedOutputBytesMax {
                    isWaitingForDrain = true
                    break
                }
                if framing == nil {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
                    guard let (head, count) = try parser.parse(rest) else { break }
                    used += count
                    headBytes = count
                    if try begin(head, hasMore: used < bytes.count) { continue }
                }
                used += try readBody(UnsafeRawBufferPointer(rebasing: bytes[used...]))
                guard isBodyComplete else { break }
                dispatch()
            }
        } catch {
            refuse(error)
        }
        if state == .over { return bytes.count }
        let left = bytes.count - used
        book(left: left == 0 ? 0 : max(left, tcp.inputCapacityBytes))
        if state == .over { return bytes.count }
        if isWaitingForDrain || (state != .reading && left >= Self.pipelinedInputBytesMax) { tcp.pauseReading() }
        if state == .reading, !isWaitingForDrain { awaitMore(hasPart: framing != nil || left > 0 || discardLeft > 0) }
        return used
    }

    /// Nothing more can be done until more arrives: sets the time for that.
    private func awaitMore(hasPart: Bool) {
        if tcp.isPeerFinished { return endUnread() }
        if hasPart {
            // Once per request, not per byte, or a slow sender could go on for ever.
            guard !isTimingRequest else { return }
            isTimingRequest = true
            tcp.setDeadline(afterMilliseconds: context.configuration.requestMillisecondsMax)
        } else if context.isDraining {
            return end()
        } else {
            isTimingRequest = false
            tcp.setDeadline(afterMilliseconds: context.configuration.idleMillisecondsMax)
        }
        waitingSince = EventLoop.coarseMilliseconds()
    }

    /// Takes up a request whose head is there. Who asks and what for is decided now, before a byte of its body is kept
    /// or asked for.
    ///
    /// - Returns: whether it is answered already.
    private func begin(_ head: HTTPRequestHead, hasMore: Bool) throws(HTTPFault) -> Bool {
        framing = head.framing
        (isKeptAlive, minorVersion) = (head.isKeptAlive, head.minorVersion)
        match = context.router.match(head.method, rawPath: head.rawPath)
        var request = HTTPRequest(head: head, body: [], peer: tcp.peer, client: client(of: head))
        request.isForwarded = isPeerProxy
        if case .route(_, let parameters) = match, !parameters.isEmpty { request.pathParameters = parameters }
        if context.configuration.hasRequestIDs { request.id = context.requestIDs.id(for: request) }
        self.request = request
        if let response = answerUnread(request) {
            skipBody(head)
            started()
            send(response)
            return true
        }
        let bytesMax = match.bodyBytesMax ?? context.configuration.bodyBytesMax
        if case .length(let length) = head.framing, length > bytesMax { throw bodyTooLarge(bytesMax) }
        guard head.framing != .none else { return false }
        if case .route(let route, _) = match, !route.readsBody {
            skipBody(head)
            framing = HTTPRequestHead.Framing.none
            return false
        }
        if head.framing == .chunked { chunks = ChunkedDecoder() }
        if head.expectsContinue, !hasMore { tcp.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        return false
    }

    /// The reply to a request that is not served; nil for one that is.
    private func answerUnread(_ request: HTTPRequest) -> HTTPResponse? {
        switch match {
        case .route(let route, _):
            switch route.admission?(request) {
            case nil, .admitted: return nil
            case .holding(let hold):
                self.hold = hold
                return nil
            case .refused(let response): return response
            }
        case .options(let allow):
            if let refusal = context.router.unmatched?(request) { return refusal }
            var response = HTTPResponse(status: 204, headers: ["Allow": allow])
            context.cors?.allow(allow, request, &response.headers)
            return response
        case .notFound: return context.router.unmatched?(request) ?? context.shapeFault(.notFound, request)
        case .methodNotAllowed(let allow):
            return context.router.unmatched?(request) ?? context.shapeFault(.methodNotAllowed(allow), request)
        }
    }

    /// A short body that nobody reads is thrown away as it comes; with another one the connection ends, since nobody
    /// would read to its end, or knows whether a client that waits for `100 Continue` sends it.
    private func skipBody(_ head: HTTPRequestHead) {
        switch head.framing {
        case .none: break
        case .length(let length) where length <= Self.discardBytesMax && !head.expectsContinue: discardLeft = length
        case .length, .chunked: isKeptAlive = false
        }
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer) throws(HTTPFault) -> Int {
        switch framing {
        case .length(let length):
            let count = min(length - body.count, bytes.count)
            guard count > 0 else { return 0 }
            // Room for what has arrived: a client may announce a length and never send it.
            if body.isEmpty { body.reserveCapacity(count) }
            body.append(contentsOf: bytes[..<count])
            bodyBytes = body.capacity
            return count
        case .chunked:
            let bytesMax = match.bodyBytesMax ?? context.configuration.bodyBytesMax
            let count = try chunks?.decode(bytes, into: &body, bytesMax: bytesMax) ?? 0
            bodyBytes = body.capacity
            return count
        case .some(.none), nil:
            return 0
        }
    }

    private var isBodyComplete: Bool {
        switch framing {
        case .length(let length): body.count == length
        case .chunked: chunks?.isDone ?? true
        case .some(.none), nil: true
        }
    }

    /// Answers what cannot be read on, and closes: where the next request would start is not known.
    func refuse(_ fault: HTTPFault) {
        isKeptAlive = false
        if framing == nil { minorVersion = 1 }
        started()
        send(fault: fault)
    }

    func client(of head: HTTPRequestHead) -> IPAddress? {
        tcp.peerAddress.map {
            isPeerProxy ? context.configuration.proxyTrust.client(peer: $0, headers: head.headers) : $0
        }
    }

    func started() {
        exchange += 1
        state = .handling
        framing = nil
        chunks = nil
        body = []
        isTimingRequest = false
        repliedNanoseconds = 0
        if context.observe != nil { startedNanoseconds = SystemClock.monotonicNanoseconds() }
    }

    private func dispatch() {
        if !body.isEmpty {
            request?.body = body
            body = []
        }
        guard let request, case .route(let route, _) = match else { return }
        started()
        switch route.handler {
        case .sync(let handler):
            do { send(try handler(request)) } catch { send(fault: HTTPFault(from: error)) }
        case .async(let handler): run(handler, request)
        case .stream(let handler): run(handler, request)
        }
    }

    /// The request is answered: takes up the next one.
    func beginNext() {
        bodyBytes = 0
        headBytes = 0
        state = .reading
        guard !isInRead else { return }
        let left = tcp.bufferedInputBytes
        book(left: left == 0 ? 0 : tcp.inputCapacityBytes)
        guard state == .reading else { return }
        tcp.resumeReading()
        tcp.deliverAgain()
        if left == 0 { awaitMore(hasPart: discardLeft > 0) }
    }

    /// Nothing more will be read; what is queued goes out first.
    func end() {
        state = .over
        tcp.finish(lingerMilliseconds: lingerMilliseconds)
        bookNothing()
    }

    func drained() {
        writer?.update(queuedBytes: tcp.queuedOutputBytes)
        guard isWaitingForDrain else {
            if tcp.bufferedInputBytes == 0 { awaitAfterOutput() }
            return
        }
        isWaitingForDrain = false
        tcp.resumeReading()
        if tcp.bufferedInputBytes == 0 { awaitAfterOutput() }
    }

    /// The time between two requests begins when the reply is taken.
    private func awaitAfterOutput() {
        guard state == .reading else { return }
        awaitMore(hasPart: hasPart || discardLeft > 0)
    }
}

// MARK: Memory

extension HTTPConnection {
    /// Whom the connection counts for: the client that a trusted proxy names, else the peer.
    var network: IPAddress? { (request?.client ?? tcp.peerAddress)?.network }

    /// Whether a request was begun, by its first byte.
    var hasPart: Bool { isTimingRequest || framing != nil }

    /// Whether the head of the request being read is there.
    var hasHead: Bool { framing != nil }

    /// Tells the ledger what this connection holds; may have it make room, which may end this connection.
    private func book(left: Int) {
        leftBytes = left
        let hasRequest = framing != nil || state == .handling || state == .streaming
        let held = (hasRequest ? Self.headCost * headBytes + bodyBytes : 0) + left
        guard held != bookedBytes else { return }
        let difference = held - bookedBytes
        bookedBytes = held
        context.bookInput(difference)
        if difference > 0, context.input.isOver { context.makeRoom(for: self) }
    }

    func bookNothing() {
        guard bookedBytes != 0 else { return }
        context.bookInput(-bookedBytes)
        (bookedBytes, leftBytes) = (0, 0)
    }

    /// Bytes that come free when this connection is told to try again later. A request that is complete is not given up
    /// for a later one, only input behind it is.
    var reclaimableBytes: Int {
        switch state {
        case .reading: bookedBytes
        case .handling: leftBytes > Self.smallBytes ? leftBytes : 0
        // A stream keeps its head for hours and is not to pay for the hurry of others; one that holds much is.
        case .streaming: bookedBytes > Self.largeBytes ? bookedBytes : 0
        case .over: 0
        }
    }

    /// Gives up what is held.
    func giveUp() {
        switch state {
        case .reading where !isWaitingForDrain:
            context.noteCut(.requestMemory)
            refuse(.overloaded)
        case .handling where leftBytes <= Self.smallBytes:
            context.noteCut(.requestMemory)
            task?.cancel()
            isKeptAlive = false
            send(fault: .overloaded)
        case .reading, .handling, .streaming:
            cutReason = .requestMemory
            tcp.close(.overloaded)
        case .over: break
        }
    }
}
