package import Bytes
package import EventLoop
import Glibc
import Synchronization

/// Where a server listens and what it allows.
package struct HTTPServerConfiguration: Sendable {
    /// A numeric address or a name of this machine.
    package var host: String
    /// 0 for a free one.
    package var port: UInt16
    /// Threads, each with a SO_REUSEPORT listener of its own.
    package var loops = 1
    /// Open connections per loop. Beyond it those that have waited longest for a request, or the rest of one, are closed
    /// for new ones; while all are being answered, further ones wait in the kernel's backlog.
    package var connectionsMax = 10_000
    /// Open connections of one address (IPv6: one /64), all loops together; beyond it 429 and the end. 0 for any number.
    /// Trusted proxies are exempt.
    package var connectionsPerAddressMax = 0

    /// Memory for heads, bodies and input that waits, all connections together, bytes. When it is used up, incomplete
    /// requests get 503, those of the address that holds most first.
    package var requestBytesTotalMax = 64 << 20
    /// Memory for replies that wait for their readers, all connections together, bytes. When it is used up, the largest
    /// are cut.
    package var replyBytesTotalMax = 128 << 20
    /// One reply's body, bytes; a larger one becomes 500.
    package var replyBytesMax = 32 << 20

    /// Request line and header fields, bytes; beyond it 431.
    package var headBytesMax = 16_384
    /// The request target, bytes; beyond it 414.
    package var targetBytesMax = 8_192
    /// Header fields of one request; beyond it 431.
    package var headerCountMax = 100
    /// A request's body without its coding, bytes; beyond it 413.
    package var bodyBytesMax = 1_048_576

    /// From a request's first byte to its last; beyond it 408.
    package var requestMillisecondsMax = 20_000
    /// Between two requests of one connection.
    package var idleMillisecondsMax = 60_000
    /// An asynchronous handler's time; beyond it it is cancelled and 503 is sent. Not for streams.
    package var handlerMillisecondsMax = 60_000
    /// How long a client may take nothing of what is queued for it, before it is cut.
    package var outputStallMillisecondsMax = 30_000
    /// The least that a client must take of what waits for it, bytes a second on average over each window.
    package var outputRateMin = 1_024
    /// See ``outputRateMin``; nothing is judged in the first.
    package var outputWindowMilliseconds = 30_000
    /// From the moment a reply is queued to its last byte's leaving; a slower client is cut.
    package var outputWaitMillisecondsMax = 600_000

    /// What the kernel may hold unsent of replies of one connection, bytes (TCP_NOTSENT_LOWAT): up to 4 MB of each slow
    /// reader's lag would else be held where no bound of ours sees it.
    package var unsentBytesMax = 262_144

    /// `HTTPStreamWriter.write` suspends above this many queued bytes.
    package var streamBufferBytes = 65_536
    /// `HTTPStreamWriter.offer` cuts above this many queued bytes.
    package var streamCutBytes = 262_144
    /// What the kernel may hold unsent of a stream, bytes (TCP_NOTSENT_LOWAT): the rest of a slow reader's lag stays
    /// here, where the two bounds above see it.
    package var streamUnsentBytesMax = 65_536
    /// SO_SNDBUF of connections that stream, bytes; nil leaves it to the kernel. 32 kB saves memory with thousands of
    /// slow readers and holds each stream under about 2 MB/s.
    package var streamSendBufferBytes: Int?

    /// Sent with every reply.
    package var fixedHeaders: HTTPHeaders = [:]
    /// Whether requests get an id, the client's `X-Request-Id` where it is proper, which goes out with the reply.
    package var hasRequestIDs = false
    /// Origins whose pages may read replies (the Fetch standard's CORS protocol); `*` for all.
    package var corsOrigins: [String] = []
    /// Encrypts every connection; nil for none.
    package var tls: TLSContext?
    /// Whose word about the client's address counts.
    package var proxyTrust = ProxyTrust()

    package init(host: String = "127.0.0.1", port: UInt16 = 0) {
        self.host = host
        self.port = port
    }
}

/// One finished exchange, for logs and metrics.
package struct HTTPExchange: Sendable {
    package let method: HTTPMethod
    /// The route's pattern; nil where no route matched.
    package let pattern: String?
    /// The path as it was sent, without the query.
    package let path: String
    package let status: Int
    /// From the last byte of the request to the last byte queued of the reply; a stream's whole life.
    package let nanoseconds: Int64
    /// From the last byte of the request to the first byte queued of the reply.
    package let firstNanoseconds: Int64
    /// The request's body, bytes.
    package let requestBytes: Int
    package let peer: String
    /// Empty where requests get none.
    package let requestID: String
    /// The reply's body as it was queued, bytes.
    package let replyBytes: Int
    /// Who asked, see ``HTTPRequest/client``.
    package let client: IPAddress?
    /// The request's; none where its head could not be read.
    package let headers: HTTPHeaders

    /// The status of an exchange that ended without a reply because the client left; nginx's number for it.
    package static let abandoned = 499
}

/// Why the server cut a connection, or a reply, that keeps a limit of its own too little.
package enum HTTPCutReason: String, Sendable, CaseIterable {
    /// The client took nothing for too long.
    case stalled
    /// The client took too little for too long.
    case slow
    /// Requests held too much memory together.
    case requestMemory = "request_memory"
    /// Replies held too much memory together.
    case replyMemory = "reply_memory"
    /// One reply was too large.
    case replySize = "reply_size"
    /// Its address had too many connections.
    case address
    /// A newcomer needed its place.
    case places

    init?(_ reason: TCPCloseReason) {
        switch reason {
        case .stalled: self = .stalled
        case .slow: self = .slow
        case .outputBound: self = .replyMemory
        case .closed, .peerFinished, .failed, .deadline, .overloaded, .inputBound, .loopStopped: return nil
        }
    }
}

/// What a server holds just now.
package struct HTTPLoad: Sendable {
    /// Open connections.
    package let connections: Int
    /// Replies of open length.
    package let streams: Int
    /// Memory of heads, bodies and input that waits.
    package let requestBytes: Int
    /// Replies that wait for their readers, bytes.
    package let replyBytes: Int

    package init(connections: Int, streams: Int, requestBytes: Int, replyBytes: Int) {
        self.connections = connections
        self.streams = streams
        self.requestBytes = requestBytes
        self.replyBytes = replyBytes
    }
}

/// An HTTP/1.1 server: strict framing, keep-alive, pipelining in order, one event loop per thread.
package final class HTTPServer: Sendable {
    private let configuration: HTTPServerConfiguration
    private let shared: HTTPShared
    private let state = Mutex(State())

    private struct State {
        var loops: [EventLoop] = []
        var listeners: [TCPListener] = []
        var contexts: [HTTPLoopContext] = []
        var port: UInt16?
    }

    /// - Parameters:
    ///   - errorBody: shapes the reply to every fault; the default is ``HTTPFault/response``.
    ///   - observe: called on the loop's thread once for every reply, whatever gave it, and for every request that was
    ///     abandoned; must be quick.
    ///   - onCut: called on the loop's thread when a limit of slow or greedy clients was met; must be quick.
    package init(
        configuration: HTTPServerConfiguration, router: HTTPRouter,
        errorBody: @escaping HTTPFaultShaper = { fault, _ in fault.response },
        observe: (@Sendable (HTTPExchange) -> Void)? = nil, onCut: (@Sendable (HTTPCutReason) -> Void)? = nil
    ) {
        var configuration = configuration
        configuration.loops = max(1, configuration.loops)
        self.configuration = configuration
        shared = HTTPShared(
            configuration: configuration, router: router, shapeFault: errorBody, observe: observe, onCut: onCut)
    }

    deinit {
        stop(drainSeconds: 0)
    }

    /// Binds and serves.
    /// - Returns: the port, also when 0 was configured.
    /// - Throws: when the address cannot be bound; nothing is left running then.
    @discardableResult
    package func start() throws(EventLoopError) -> UInt16 {
        var started = State()
        do throws(EventLoopError) {
            var port = configuration.port
            if configuration.loops > 1, port != 0 {
                try TCPListener.checkIsFree(host: configuration.host, port: port)
            }
            for number in 0..<configuration.loops {
                let loop = try EventLoop(name: "http-\(number)")
                started.loops.append(loop)
                let context = HTTPLoopContext(loop: loop, shared: shared)
                started.contexts.append(context)
                let listener = try TCPListener(
                    loop: loop, host: configuration.host, port: port, reusePort: configuration.loops > 1,
                    connectionsMax: configuration.connectionsMax, tls: configuration.tls,
                    makePlace: { context.makePlace() }
                ) { connection in
                    HTTPConnection.accept(connection, in: context)
                }
                port = listener.port
                started.listeners.append(listener)
            }
            started.port = port
            for loop in started.loops { try loop.start() }
            let running = started
            state.withLock { $0 = running }
            return port
        } catch {
            for loop in started.loops { loop.stop() }
            throw error
        }
    }

    /// The bound port; nil before `start` and after `stop`.
    package var port: UInt16? { state.withLock { $0.port } }

    /// Open connections just now.
    package var connectionCount: Int { shared.count.value }

    /// What it holds just now. Any thread.
    package var load: HTTPLoad {
        HTTPLoad(
            connections: shared.count.value, streams: shared.count.streamCount,
            requestBytes: shared.input.heldBytes, replyBytes: shared.output.heldBytes)
    }

    /// Stops listening, lets requests that were begun be answered (their connections close after that), asks streams
    /// to end by cancelling their tasks, and after at most `drainSeconds` cuts what is left.
    ///
    /// Blocks until then; not to be called on Swift's cooperative pool or on one of the loops.
    package func stop(drainSeconds: Int) {
        let old = state.withLock { state -> State in
            defer { state = State() }
            return state
        }
        for listener in old.listeners { listener.close() }
        for context in old.contexts { context.loop.execute { context.drain() } }
        let end = EventLoop.coarseMilliseconds() + Int64(drainSeconds) * 1_000
        while shared.count.value > 0, EventLoop.coarseMilliseconds() < end { usleep(2_000) }
        for loop in old.loops { loop.stop() }
    }
}
