import Bytes
import Glibc

/// Carries out attacks on one thread, in turns of some milliseconds: between two of them it sleeps, so that thousands of
/// connections cost little processor time, which the server under test needs.
struct AttackRun {
    private let attacks: [Attack]
    private let target: AttackTarget
    private var random: SeededGenerator
    private var connections: [AttackConnection] = []
    private var polled: [pollfd] = []
    private var states: [State]
    private var space = [UInt8](repeating: 0, count: 262_144)

    private struct State {
        var tally: AttackTally
        /// Messages that may be begun now.
        var allowance = 1.0
        var open = 0
        var opened: UInt32 = 0
    }

    static let turnMilliseconds: Int64 = 20
    static let replySecondsMax: Int64 = 60
    private static let connectSecondsMax: Int64 = 10
    /// What one turn reads of a connection at most, so that a fast stream does not hold up the others.
    private static let bytesPerTurn = 4

    init(_ attacks: [Attack], target: AttackTarget, seed: UInt64) {
        self.attacks = attacks
        self.target = target
        random = SeededGenerator(seed: seed)
        states = attacks.map { State(tally: AttackTally(name: $0.name)) }
    }

    /// Attacks for so long; blocks.
    mutating func run(milliseconds: Int64) -> [AttackTally] {
        let start = Self.now()
        var last = start
        while true {
            let now = Self.now()
            if now - start >= milliseconds { break }
            begin(seconds: Double(now - last) / 1_000, now)
            last = now
            advance(now)
            sweep()
            Pause.milliseconds(Int(max(1, Self.turnMilliseconds - (Self.now() - now))))
        }
        for place in connections.indices where connections[place].isOpen {
            AttackSocket.reset(connections[place].descriptor)
        }
        connections = []
        return states.map(\.tally)
    }

    // MARK: Beginning

    /// The seconds since the last turn bring each attack its share of messages.
    private mutating func begin(seconds: Double, _ now: Int64) {
        for place in connections.indices where connections[place].phase == .idle {
            let attack = connections[place].attack
            if states[attack].allowance >= 1 { start(place, now) }
        }
        for (number, attack) in attacks.enumerated() {
            // What was not used up, since all connections were busy, is not made good later at once.
            states[number].allowance = min(
                states[number].allowance + attack.perSecond * seconds, max(1, attack.perSecond / 4))
            while states[number].allowance >= 1, states[number].open < attack.connections {
                states[number].allowance -= 1
                open(number, now)
            }
        }
    }

    private mutating func open(_ number: Int, _ now: Int64) {
        let attack = attacks[number]
        states[number].opened &+= 1
        // 127.(100 + its place).0.1 and further: nobody else's, and another one's for each attack.
        let place = UInt32(AttackCatalogue.all.firstIndex { $0.name == attack.name } ?? number)
        let source = 0x7F00_0000 | (100 + place) << 16 | (1 + states[number].opened % UInt32(attack.addresses))
        guard
            let descriptor = AttackSocket.open(
                port: target.port, source: source, receiveBufferBytes: attack.receiveBufferBytes)
        else {
            states[number].tally.unconnected += 1
            return
        }
        states[number].open += 1
        states[number].tally.connectionsHeld = max(states[number].tally.connectionsHeld, states[number].open)
        var connection = AttackConnection(attack: number, descriptor: descriptor)
        connection.deadline = now + Self.connectSecondsMax * 1_000
        connections.append(connection)
    }

    /// The next message of a connection that is there.
    private mutating func start(_ place: Int, _ now: Int64) {
        let attack = attacks[connections[place].attack]
        if connections[place].phase == .idle { states[connections[place].attack].allowance -= 1 }
        connections[place].begin(attack.message(&random, target), now)
        if connections[place].message.bytes.isEmpty { states[connections[place].attack].tally.messages += 1 }
        send(place, now)
    }

    // MARK: Going on

    private mutating func advance(_ now: Int64) {
        polled.removeAll(keepingCapacity: true)
        for connection in connections {
            polled.append(pollfd(fd: connection.descriptor, events: events(connection), revents: 0))
        }
        poll(&polled, nfds_t(polled.count), 0)
        for place in connections.indices {
            let ready = Int32(polled[place].revents)
            switch connections[place].phase {
            case .connecting where ready != 0: connected(place, now)
            case .connecting where now >= connections[place].deadline:
                states[connections[place].attack].tally.unconnected += 1
                close(place, resets: true)
            case .connecting, .over: continue
            case .sending, .waiting, .idle: work(place, ready: ready, now)
            }
        }
    }

    private func events(_ connection: AttackConnection) -> Int16 {
        switch connection.phase {
        case .connecting: Int16(POLLOUT)
        case .over: 0
        case .sending: Int16(POLLOUT) | reading(connection)
        case .waiting, .idle: reading(connection)
        }
    }

    /// Whoever takes nothing in does not wait for it either: a socket that is never read would be ready for ever.
    private func reading(_ connection: AttackConnection) -> Int16 {
        switch attacks[connection.attack].following {
        case .reply, .end, .hold, .leave(_, true): Int16(POLLIN)
        case .leave(_, false), .sip: 0
        }
    }

    private mutating func connected(_ place: Int, _ now: Int64) {
        let number = connections[place].attack
        guard AttackSocket.fault(connections[place].descriptor) == 0 else {
            states[number].tally.unconnected += 1
            return close(place, resets: false)
        }
        states[number].tally.connections += 1
        start(place, now)
    }

    private mutating func work(_ place: Int, ready: Int32, _ now: Int64) {
        if ready & POLLIN != 0 { read(place, space.count, times: Self.bytesPerTurn, now) }
        guard connections[place].phase != .over else { return }
        if ready & (POLLERR | POLLHUP) != 0, ready & POLLIN == 0 { return ended(place) }
        if connections[place].phase == .sending, ready & POLLOUT != 0 { send(place, now) }
        guard connections[place].isOpen, now >= connections[place].due else { return }
        if connections[place].phase == .sending, attacks[connections[place].attack].following == .hold { return }
        switch attacks[connections[place].attack].following {
        case .leave: leave(place)
        case .sip(let bytes, let milliseconds):
            connections[place].due = now + Int64(milliseconds)
            read(place, bytes, times: 1, now)
        case .hold: if let pause = attacks[connections[place].attack].dripMilliseconds { drip(place, pause, now) }
        case .reply, .end: if connections[place].phase != .idle { giveUp(place) }
        }
    }

    private mutating func send(_ place: Int, _ now: Int64) {
        let number = connections[place].attack
        while connections[place].sent < connections[place].message.promptCount {
            let count = connections[place].sendOn(upTo: connections[place].message.promptCount)
            if count < 0 {
                if errno != EAGAIN && errno != EINTR { ended(place) }
                return
            }
            if connections[place].sent == count { states[number].tally.messages += 1 }
            states[number].tally.bytesSent += count
        }
        let attack = attacks[number]
        if attack.isHalfClosed { shutdown(connections[place].descriptor, Int32(SHUT_WR)) }
        connections[place].phase = .waiting
        switch attack.following {
        case .reply, .end: connections[place].due = now + Self.replySecondsMax * 1_000
        case .hold: connections[place].due = attack.dripMilliseconds.map { now + Int64($0) } ?? .max
        case .leave(let range, _):
            connections[place].due = now + Int64(Int.random(in: range, using: &random))
            if connections[place].due <= now { leave(place) }
        case .sip(_, let milliseconds): connections[place].due = now + Int64(milliseconds)
        }
    }

    private mutating func drip(_ place: Int, _ pause: Int, _ now: Int64) {
        connections[place].due = now + Int64(pause)
        let isFirst = connections[place].sent == 0
        let count = connections[place].sendOn(upTo: connections[place].sent + 1)
        if count < 0 && errno != EAGAIN && errno != EINTR { return ended(place) }
        states[connections[place].attack].tally.bytesSent += max(0, count)
        if isFirst && count > 0 { states[connections[place].attack].tally.messages += 1 }
    }

    private mutating func read(_ place: Int, _ bytes: Int, times: Int, _ now: Int64) {
        let number = connections[place].attack
        for _ in 0..<times {
            let count = recv(connections[place].descriptor, &space, min(bytes, space.count), 0)
            if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
            guard count > 0 else { return ended(place) }
            states[number].tally.bytesReceived += count
            connections[place].scanner.read(space[..<count])
            for status in connections[place].scanner.statuses { states[number].tally.statuses[status, default: 0] += 1 }
            guard connections[place].hasAllReplies else {
                if count < bytes { return }
                continue
            }
            switch attacks[number].following {
            case .reply:
                connections[place].phase = .idle
                connections[place].due = .max
                return
            case .end: return close(place, resets: false)
            case .hold, .leave, .sip: if count < bytes { return }
            }
        }
    }

    // MARK: Ends

    /// The server closed or reset it.
    private mutating func ended(_ place: Int) {
        let tally = states[connections[place].attack].tally
        states[connections[place].attack].tally.cut = tally.cut + (connections[place].hasAllReplies ? 0 : 1)
        close(place, resets: false)
    }

    /// As clients do that are killed, or as those that close.
    private mutating func leave(_ place: Int) {
        states[connections[place].attack].tally.left += 1
        close(place, resets: Bool.random(using: &random))
    }

    private mutating func giveUp(_ place: Int) {
        states[connections[place].attack].tally.unanswered += 1
        close(place, resets: true)
    }

    private mutating func close(_ place: Int, resets: Bool) {
        guard connections[place].isOpen else { return }
        if resets {
            AttackSocket.reset(connections[place].descriptor)
        } else {
            Glibc.close(connections[place].descriptor)
        }
        connections[place].phase = .over
        states[connections[place].attack].open -= 1
    }

    private mutating func sweep() { connections.removeAll { !$0.isOpen } }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}

/// One connection of an attack.
struct AttackConnection {
    enum Phase { case connecting, sending, waiting, idle, over }

    let attack: Int
    let descriptor: Int32
    var phase = Phase.connecting
    private(set) var message = AttackMessage([])
    private(set) var sent = 0
    var scanner = ReplyScanner()
    /// When a connection that is begun must stand; milliseconds of the monotonic clock, as below.
    var deadline = Int64.max
    /// When the next thing is to be done that does not wait for the server.
    var due = Int64.max

    init(attack: Int, descriptor: Int32) {
        self.attack = attack
        self.descriptor = descriptor
    }

    var isOpen: Bool { phase != .over }

    var hasAllReplies: Bool { scanner.completed >= message.replyCount && sent > 0 }

    mutating func begin(_ message: AttackMessage, _ now: Int64) {
        self.message = message
        sent = 0
        scanner = ReplyScanner()
        phase = .sending
        due = now + AttackRun.replySecondsMax * 1_000
    }

    /// Sends up to that place of the message.
    ///
    /// - Returns: how much was sent; below 0 with `errno` where nothing can be now.
    mutating func sendOn(upTo end: Int) -> Int {
        let end = min(end, message.bytes.count)
        guard sent < end else { return 0 }
        let count = message.bytes.withUnsafeBytes { bytes in
            Glibc.send(descriptor, bytes.baseAddress.map { $0 + sent }, end - sent, Int32(MSG_NOSIGNAL))
        }
        if count > 0 { sent += count }
        return count
    }
}
