import Bytes
import EventLoop
import Synchronization

/// How many connections and streams all loops of a server have.
final class HTTPConnectionCount: Sendable {
    private let connections = Atomic<Int>(0)
    private let streams = Atomic<Int>(0)

    var value: Int { connections.load(ordering: .relaxed) }
    var streamCount: Int { streams.load(ordering: .relaxed) }

    func add(_ difference: Int) {
        connections.add(difference, ordering: .relaxed)
    }

    func addStreams(_ difference: Int) {
        streams.add(difference, ordering: .relaxed)
    }
}

/// What all loops of a server share.
struct HTTPShared: Sendable {
    let configuration: HTTPServerConfiguration
    let router: HTTPRouter
    let shapeFault: HTTPFaultShaper
    let observe: (@Sendable (HTTPExchange) -> Void)?
    let onCut: (@Sendable (HTTPCutReason) -> Void)?
    let count = HTTPConnectionCount()
    let input: MemoryBudget
    let output: MemoryBudget
    /// Connections by the address's network; nil where an address may have any number.
    let shares: ConnectionShares<IPAddress>?

    init(
        configuration: HTTPServerConfiguration, router: HTTPRouter, shapeFault: @escaping HTTPFaultShaper,
        observe: (@Sendable (HTTPExchange) -> Void)?, onCut: (@Sendable (HTTPCutReason) -> Void)?
    ) {
        self.configuration = configuration
        self.router = router
        self.shapeFault = shapeFault
        self.observe = observe
        self.onCut = onCut
        input = MemoryBudget(bytesMax: configuration.requestBytesTotalMax, loops: configuration.loops)
        output = MemoryBudget(bytesMax: configuration.replyBytesTotalMax, loops: configuration.loops)
        let most = configuration.connectionsPerAddressMax
        shares = most > 0 ? ConnectionShares(limit: most) : nil
    }
}

/// What the connections of one loop share.
///
/// `@unchecked Sendable`, because the constants are `Sendable` and the variables are touched on the loop's thread only:
/// by its connections, which are confined to it, by ``makePlace()``, which the loop's listener calls, and by ``drain()`` and
/// the relief of output, which are posted to it.
final class HTTPLoopContext: @unchecked Sendable {
    let loop: EventLoop
    let configuration: HTTPServerConfiguration
    let router: HTTPRouter
    let shapeFault: HTTPFaultShaper
    let observe: (@Sendable (HTTPExchange) -> Void)?
    private let onCut: (@Sendable (HTTPCutReason) -> Void)?
    let parserLimits: HTTPParserLimits
    let count: HTTPConnectionCount
    let shares: ConnectionShares<IPAddress>?
    /// Bytes held of requests: heads, bodies, and input that waits.
    let input: MemoryLedger
    /// Bytes of replies that wait for their readers.
    let output: MemoryLedger

    var encoder = HTTPResponseEncoder()
    var requestIDs = RequestIDs()
    let cors: HTTPCORS?
    /// The fixed headers as lines.
    let fixedLines: [UInt8]
    private(set) var isDraining = false
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var isReliefPosted = false
    /// What was held when nothing more could be given up; nil before.
    private var fullBytes: Int?

    init(loop: EventLoop, shared: HTTPShared) {
        self.loop = loop
        let configuration = shared.configuration
        self.configuration = configuration
        router = shared.router
        shapeFault = shared.shapeFault
        observe = shared.observe
        onCut = shared.onCut
        count = shared.count
        shares = shared.shares
        input = shared.input.ledger()
        output = shared.output.ledger()
        cors = configuration.corsOrigins.isEmpty ? nil : HTTPCORS(origins: configuration.corsOrigins)
        fixedLines = configuration.fixedHeaders.fields.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
        parserLimits = HTTPParserLimits(
            headBytesMax: configuration.headBytesMax, targetBytesMax: configuration.targetBytesMax,
            headerCountMax: configuration.headerCountMax)
        output.onOver = { [weak self] in self?.postRelief() }
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

    func noteCut(_ reason: HTTPCutReason) {
        onCut?(reason)
    }

    // MARK: Bounds of all connections together

    /// Connections that hold something. First those of the address that holds most, so that who fills the memory gives
    /// it back, however many connections that is spread over. Of one address first who has held most for longest, bytes
    /// times time: who has just come, or sends and takes what is due, is among the last.
    private func heaviest(
        _ weight: (HTTPConnection) -> Int, since: (HTTPConnection) -> Int64
    ) -> [HTTPConnection] {
        let now = EventLoop.coarseMilliseconds()
        var sums: [IPAddress?: Int] = [:]
        var found: [(connection: HTTPConnection, sum: Int, score: Int64)] = []
        for connection in connections.values {
            let weight = weight(connection)
            guard weight > 0 else { continue }
            sums[connection.network, default: 0] += weight
            found.append((connection, 0, Int64(weight) * max(1, now - since(connection))))
        }
        for place in found.indices { found[place].sum = sums[found[place].connection.network] ?? 0 }
        found.sort { $0.sum == $1.sum ? $0.score > $1.score : $0.sum > $1.sum }
        return found.map(\.connection)
    }

    func bookInput(_ difference: Int) {
        input.adjust(by: difference)
        if let fullBytes, input.heldBytes < fullBytes { self.fullBytes = nil }
    }

    /// Requests hold too much: the heaviest ones are given up, `newcomer` last of all if it must be.
    func makeRoom(for newcomer: HTTPConnection) {
        // All that could be given up was, and nothing came free since: another look would find nothing.
        if fullBytes != nil { return newcomer.giveUp() }
        for connection in heaviest({ $0.reclaimableBytes }, since: { $0.waitingSince }) {
            if input.isRelieved { return }
            connection.giveUp()
        }
        guard input.isOver else { return }
        newcomer.giveUp()
        fullBytes = input.heldBytes
    }

    /// Replies hold too much. Later in the turn, because this is heard of in the middle of a connection's own work.
    private func postRelief() {
        guard !isReliefPosted else { return }
        isReliefPosted = true
        loop.execute { self.relieveOutput() }
    }

    /// Cuts the readers who hold up most. A new reply goes out in their place: who reads in time never waits long enough
    /// to be among them.
    private func relieveOutput() {
        isReliefPosted = false
        guard output.isOver else { return }
        for connection in heaviest({ $0.tcp.queuedOutputBytes }, since: { $0.tcp.outputSince }) {
            if output.isRelieved { return }
            connection.tcp.close(.outputBound)
        }
    }

    /// All places are taken and another connection waits: closes those that have waited longest for a request or the
    /// rest of one, of the address that has most of them first.
    ///
    /// Rather than keep newcomers out: a client that is about to ask is worth more than one that has not asked for long,
    /// and holding connections open without asking would else be the cheapest way to shut everybody out.
    ///
    /// - Returns: false where every connection is being answered.
    func makePlace() -> Bool {
        loop.assertInLoop()
        let now = EventLoop.coarseMilliseconds()
        var counts: [IPAddress?: Int] = [:]
        var found: [(connection: HTTPConnection, count: Int)] = []
        for connection in connections.values where connection.isReplaceable(now) {
            counts[connection.network, default: 0] += 1
            found.append((connection, 0))
        }
        for place in found.indices { found[place].count = counts[found[place].connection.network] ?? 0 }
        found.sort { left, right in
            if left.count != right.count { return left.count > right.count }
            return left.connection.waitingSince < right.connection.waitingSince
        }
        // Some at once, so that a flood of new connections does not have all of them looked at for each.
        for (connection, _) in found.prefix(max(1, configuration.connectionsMax / Self.placesShare)) {
            if connection.state == .reading { connection.cutReason = .places }
            connection.tcp.close(.overloaded)
        }
        return !found.isEmpty
    }

    private static let placesShare = 64
}
