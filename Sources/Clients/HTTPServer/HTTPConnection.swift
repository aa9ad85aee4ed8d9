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

    // The request being read.
    private var parser: HTTPHeadParser
    private var head: HTTPRequestHead?
    private var match = HTTPRouter.Match.notFound
    private var body: [UInt8] = []
    private var chunks: ChunkedDecoder?
    private var isTimingRequest = false

    // The request being answered.
    var request: HTTPRequest?
    var isKeptAlive = true
    var minorVersion = 1
    var exchange = 0
    private var startedNanoseconds: Int64 = 0
    var task: Task<Void, Never>?
    var writer: HTTPStreamWriter?
    var streamStatus: Int?
    /// Bytes given to the stream, without their coding.
    var streamBytes = 0
    var isChunked = false
    private var isInRead = false
    private var isWaitingForDrain = false

    /// Input that may wait behind an unanswered request, before reading pauses.
    private static let pipelinedInputBytesMax = 65_536
    /// Replies that may wait for a client who goes on sending requests.
    private static let pipelinedOutputBytesMax = 262_144

    static func accept(_ tcp: TCPConnection, in context: HTTPLoopContext) {
        let connection = HTTPConnection(tcp, context)
        context.add(connection)
        let configuration = context.configuration
        tcp.inputBytesMax = max(configuration.headBytesMax, pipelinedInputBytesMax) + 262_144
        tcp.outputStallMillisecondsMax = configuration.outputStallMillisecondsMax
        // A reply of any size is one write; only the stall limit ends a slow reader of it.
        tcp.outputBytesMax = Int.max
        tcp.onRead = { connection.read($0) }
        tcp.onPeerFinished = { connection.peerFinished() }
        tcp.onDrained = { connection.drained() }
        tcp.onDeadline = { connection.deadlinePassed() }
        tcp.onClose = { _ in connection.closed() }
        tcp.setDeadline(afterMilliseconds: min(configuration.idleMillisecondsMax, configuration.requestMillisecondsMax))
    }

    private init(_ tcp: TCPConnection, _ context: HTTPLoopContext) {
        self.tcp = tcp
        self.context = context
        parser = HTTPHeadParser(limits: context.parserLimits)
    }

    // MARK: Reading

    private func read(_ bytes: UnsafeRawBufferPointer) -> Int {
        isInRead = true
        defer { isInRead = false }
        var used = 0
        do throws(HTTPFault) {
            while state == .reading {
                if tcp.queuedOutputBytes > Self.pipelinedOutputBytesMax {
                    isWaitingForDrain = true
                    break
                }
                if head == nil {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
                    guard let (head, count) = try parser.parse(rest) else { break }
                    used += count
                    try begin(head, hasMore: used < bytes.count)
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
        if isWaitingForDrain || (state != .reading && left >= Self.pipelinedInputBytesMax) { tcp.pauseReading() }
        if state == .reading, !isWaitingForDrain { awaitMore(hasPart: head != nil || left > 0) }
        return used
    }

    /// Nothing more can be done until more arrives: sets the time for that.
    private func awaitMore(hasPart: Bool) {
        if tcp.isPeerFinished { return end() }
        if hasPart {
            // Once per request, not per byte, or a slow sender could go on for ever.
            guard !isTimingRequest else { return }
            isTimingRequest = true
            tcp.setDeadline(afterMilliseconds: context.configuration.requestMillisecondsMax)
        } else if context.isDraining {
            end()
        } else {
            tcp.setDeadline(afterMilliseconds: context.configuration.idleMillisecondsMax)
        }
    }

    private func begin(_ head: HTTPRequestHead, hasMore: Bool) throws(HTTPFault) {
        self.head = head
        match = context.router.match(head.method, rawPath: head.rawPath)
        let bytesMax = context.configuration.bodyBytesMax
        switch head.framing {
        case .none: break
        case .length(let length):
            guard length <= bytesMax else { throw bodyTooLarge(bytesMax) }
            body.reserveCapacity(min(length, 65_536))
        case .chunked: chunks = ChunkedDecoder()
        }
        guard head.expectsContinue, !hasMore else { return }
        // Rather than invite a body that nobody will look at.
        if let fault = matchFault { throw fault }
        tcp.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer) throws(HTTPFault) -> Int {
        switch head?.framing {
        case .length(let length):
            let count = min(length - body.count, bytes.count)
            if count > 0 { body.append(contentsOf: bytes[..<count]) }
            return count
        case .chunked:
            return try chunks?.decode(bytes, into: &body, bytesMax: context.configuration.bodyBytesMax) ?? 0
        case .some(.none), nil:
            return 0
        }
    }

    private var isBodyComplete: Bool {
        switch head?.framing {
        case .length(let length): body.count == length
        case .chunked: chunks?.isDone ?? true
        case .some(.none), nil: true
        }
    }

    private var matchFault: HTTPFault? {
        switch match {
        case .notFound: .notFound
        case .methodNotAllowed(let allow): .methodNotAllowed(allow)
        case .route, .options: nil
        }
    }

    /// Answers what cannot be read on, and closes: where the next request would start is not known.
    private func refuse(_ fault: HTTPFault) {
        isKeptAlive = false
        // What is known of the request: its head, when the fault lies in the body.
        var known = head.map { HTTPRequest(head: $0, body: [], peer: tcp.peer, client: client(of: $0)) }
        if context.configuration.hasRequestIDs {
            let id = context.requestIDs.id(for: known)
            known?.id = id
        }
        request = known
        minorVersion = head?.minorVersion ?? 1
        started()
        send(fault: fault)
    }

    // MARK: Answering

    private func started() {
        exchange += 1
        state = .handling
        head = nil
        chunks = nil
        isTimingRequest = false
        if context.observe != nil { startedNanoseconds = SystemClock.monotonicNanoseconds() }
    }

    private func dispatch() {
        guard let head else { return }
        var request = HTTPRequest(head: head, body: body, peer: tcp.peer, client: client(of: head))
        body = []
        (isKeptAlive, minorVersion) = (head.isKeptAlive, head.minorVersion)
        if case .route(_, let parameters) = match, !parameters.isEmpty { request.pathParameters = parameters }
        if context.configuration.hasRequestIDs { request.id = context.requestIDs.id(for: request) }
        self.request = request
        started()
        switch match {
        case .route(let route, _):
            switch route.handler {
            case .sync(let handler):
                do { send(try handler(request)) } catch { send(fault: HTTPFault(from: error)) }
            case .async(let handler): run(handler, request)
            case .stream(let handler): run(handler, request)
            }
        case .options(let allow):
            var response = HTTPResponse(status: 204, headers: ["Allow": allow])
            context.cors?.allow(allow, request, &response.headers)
            send(response)
        case .notFound, .methodNotAllowed: send(fault: matchFault ?? .notFound)
        }
    }

    private func client(of head: HTTPRequestHead) -> IPAddress? {
        tcp.peerAddress.map { context.configuration.proxyTrust.client(peer: $0, headers: head.headers) }
    }

    private func run(_ handler: @escaping HTTPRouter.AsyncHandler, _ request: HTTPRequest) {
        tcp.setDeadline(afterMilliseconds: context.configuration.handlerMillisecondsMax)
        let (loop, number) = (context.loop, exchange)
        let task = Task.immediate(executorPreference: loop) { [self] in
            let response: HTTPResponse?
            var fault: HTTPFault?
            do {
                response = try await handler(request)
            } catch {
                response = nil
                fault = HTTPFault(from: error)
            }
            let (result, failure) = (response, fault)
            if loop.isInLoop {
                complete(number, result, failure)
            } else {
                loop.execute { self.complete(number, result, failure) }
            }
        }
        if number == exchange, state == .handling { self.task = task }
    }

    /// The handler's result, unless it comes too late.
    private func complete(_ number: Int, _ response: HTTPResponse?, _ fault: HTTPFault?) {
        guard number == exchange, state == .handling else { return }
        if let response { send(response) } else { send(fault: fault ?? HTTPFault(from: CancellationError())) }
    }

    // MARK: Replies

    func send(fault: HTTPFault) {
        send(context.shapeFault(fault, request))
    }

    func send(_ response: HTTPResponse) {
        guard state != .over else { return }
        let isBodyless = response.status == 204 || response.status == 304 || (100..<200).contains(response.status)
        encodeHead(
            status: response.status, headers: response.headers,
            length: isBodyless ? .none : .bytes(response.body.count))
        if isBodyless || request?.method == .head {
            writeEncoded()
        } else if response.body.count <= 16_384 {
            context.encoder.append(body: response.body)
            writeEncoded()
        } else {
            writeEncoded()
            tcp.write(response.body)
        }
        finishExchange(status: response.status, bytes: isBodyless ? 0 : response.body.count)
    }

    func encodeHead(status: Int, headers: HTTPHeaders, length: HTTPResponseEncoder.Length) {
        if context.isDraining { isKeptAlive = false }
        let persistence: HTTPResponseEncoder.Persistence =
            if !isKeptAlive { .close } else if minorVersion == 0 { .keepAlive } else { .implied }
        context.encoder.encodeHead(
            status: status, headers: headers, length: length, persistence: persistence,
            nowMilliseconds: EventLoop.coarseMilliseconds(), fixedLines: context.fixedLines,
            requestID: request?.id ?? "", corsOrigin: context.cors?.origin(for: request))
    }

    func writeEncoded() {
        context.encoder.bytes.withUnsafeBytes { tcp.write(copying: $0) }
    }

    func finishExchange(status: Int, bytes: Int = 0) {
        observe(status: status, bytes: bytes)
        exchange += 1
        task = nil
        writer?.detach(.finished)
        writer = nil
        request = nil
        streamStatus = nil
        streamBytes = 0
        guard isKeptAlive else { return end() }
        state = .reading
        guard !isInRead else { return }
        tcp.resumeReading()
        tcp.deliverAgain()
        if tcp.bufferedInputBytes == 0 { awaitMore(hasPart: false) }
    }

    private func observe(status: Int, bytes: Int = 0) {
        guard let observe = context.observe else { return }
        let pattern: String? = if case .route(let route, _) = match, request != nil { route.pattern } else { nil }
        observe(
            HTTPExchange(
                method: request?.method ?? HTTPMethod("-"), pattern: pattern, path: request?.rawPath ?? "",
                status: status, nanoseconds: SystemClock.monotonicNanoseconds() - startedNanoseconds,
                requestBytes: request?.body.count ?? 0, peer: tcp.peer, requestID: request?.id ?? "",
                replyBytes: bytes, client: request == nil ? tcp.peerAddress : request?.client,
                headers: request?.headers ?? [:]))
    }

    /// Nothing more will be read; what is queued goes out first.
    private func end() {
        state = .over
        tcp.finish()
    }
}

// MARK: Ends

extension HTTPConnection {
    private func drained() {
        writer?.update(queuedBytes: tcp.queuedOutputBytes)
        guard isWaitingForDrain else { return }
        isWaitingForDrain = false
        tcp.resumeReading()
    }

    private func deadlinePassed() {
        switch state {
        case .reading where isTimingRequest:
            refuse(
                HTTPFault(
                    status: 408, type: "request_timeout",
                    message: "the request did not arrive within \(context.configuration.requestMillisecondsMax) ms"))
        case .handling:
            task?.cancel()
            isKeptAlive = false
            send(
                fault: HTTPFault(
                    status: 503, type: "handler_timeout",
                    message: "no answer within \(context.configuration.handlerMillisecondsMax) ms"))
        case .reading, .streaming, .over:
            tcp.close(.deadline)
        }
    }

    /// The client sends nothing more: it has left, or it only shut its sending side and still gets its answer. Both look
    /// the same until something is sent, so the question is put a little later (``HTTPConnection/probe()``); a stream that
    /// runs is cut.
    private func peerFinished() {
        switch state {
        case .reading: if !isWaitingForDrain { end() }
        case .handling: probe()
        case .streaming: if streamStatus == nil { probe() } else { tcp.close(.peerFinished) }
        case .over: break
        }
    }

    private func closed() {
        if state == .streaming, let streamStatus { observe(status: streamStatus, bytes: streamBytes) }
        state = .over
        exchange += 1
        task?.cancel()
        task = nil
        writer?.detach(.disconnected)
        writer = nil
        context.remove(self)
    }

    /// The server stops: ends what waits for a request, asks a stream to end.
    func drain() {
        context.loop.assertInLoop()
        switch state {
        case .reading: if head == nil, tcp.bufferedInputBytes == 0 { end() }
        case .streaming: task?.cancel()
        case .handling, .over: break
        }
    }
}
