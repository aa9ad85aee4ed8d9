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
    /// Open connections per loop; further ones wait in the kernel's backlog.
    package var connectionsMax = 10_000

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
}

/// An HTTP/1.1 server: strict framing, keep-alive, pipelining in order, one event loop per thread.
package final class HTTPServer: Sendable {
    private let configuration: HTTPServerConfiguration
    private let router: HTTPRouter
    private let shapeFault: HTTPFaultShaper
    private let observe: (@Sendable (HTTPExchange) -> Void)?
    private let openConnections = HTTPConnectionCount()
    private let state = Mutex(State())

    private struct State {
        var loops: [EventLoop] = []
        var listeners: [TCPListener] = []
        var contexts: [HTTPLoopContext] = []
        var port: UInt16?
    }

    /// - Parameters:
    ///   - errorBody: shapes the reply to every fault; the default is ``HTTPFault/response``.
    ///   - observe: called on the loop's thread after each exchange; must be quick.
    package init(
        configuration: HTTPServerConfiguration, router: HTTPRouter,
        errorBody: @escaping HTTPFaultShaper = { fault, _ in fault.response },
        observe: (@Sendable (HTTPExchange) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.router = router
        shapeFault = errorBody
        self.observe = observe
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
            for number in 0..<max(1, configuration.loops) {
                let loop = try EventLoop(name: "http-\(number)")
                started.loops.append(loop)
                let context = HTTPLoopContext(
                    loop: loop, configuration: configuration, router: router, shapeFault: shapeFault, observe: observe,
                    count: openConnections)
                started.contexts.append(context)
                let listener = try TCPListener(
                    loop: loop, host: configuration.host, port: port, reusePort: configuration.loops > 1,
                    connectionsMax: configuration.connectionsMax, tls: configuration.tls
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
    package var connectionCount: Int { openConnections.value }

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
        while openConnections.value > 0, EventLoop.coarseMilliseconds() < end { usleep(2_000) }
        for loop in old.loops { loop.stop() }
    }
}

/// How many connections all loops of a server have.
final class HTTPConnectionCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add(_ difference: Int) {
        count.add(difference, ordering: .relaxed)
    }
}

/// What the connections of one loop share.
///
/// `@unchecked Sendable`, because the constants are `Sendable` and the variables are touched on the loop's thread only:
/// by its connections, which are confined to it, and by ``drain()``, which is posted to it.
final class HTTPLoopContext: @unchecked Sendable {
    let loop: EventLoop
    let configuration: HTTPServerConfiguration
    let router: HTTPRouter
    let shapeFault: HTTPFaultShaper
    let observe: (@Sendable (HTTPExchange) -> Void)?
    let parserLimits: HTTPParserLimits
    private let count: HTTPConnectionCount

    var encoder = HTTPResponseEncoder()
    var requestIDs = RequestIDs()
    let cors: HTTPCORS?
    /// The fixed headers as lines.
    let fixedLines: [UInt8]
    private(set) var isDraining = false
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]

    init(
        loop: EventLoop, configuration: HTTPServerConfiguration, router: HTTPRouter,
        shapeFault: @escaping HTTPFaultShaper, observe: (@Sendable (HTTPExchange) -> Void)?,
        count: HTTPConnectionCount
    ) {
        self.loop = loop
        self.configuration = configuration
        self.router = router
        self.shapeFault = shapeFault
        self.observe = observe
        self.count = count
        cors = configuration.corsOrigins.isEmpty ? nil : HTTPCORS(origins: configuration.corsOrigins)
        fixedLines = configuration.fixedHeaders.fields.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
        parserLimits = HTTPParserLimits(
            headBytesMax: configuration.headBytesMax, targetBytesMax: configuration.targetBytesMax,
            headerCountMax: configuration.headerCountMax)
    }

    func add(_ connection: HTTPConnection) {
        connections[ObjectIdentifier(connection)] = connection
        count.add(1)
    }

    func remove(_ connection: HTTPConnection) {
        if connections.removeValue(forKey: ObjectIdentifier(connection)) != nil { count.add(-1) }
    }

    func drain() {
        isDraining = true
        for connection in Array(connections.values) { connection.drain() }
    }
}
