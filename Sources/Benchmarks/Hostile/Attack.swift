import Bytes

/// One kind of hostile client: how many connections, from where, what goes over them, and what becomes of them then.
///
/// Everything random comes from the generator that ``message`` is given, so a seed repeats an attack.
struct Attack: Sendable {
    let name: String
    /// What it does, for people.
    let summary: String
    /// Connections that it holds at once, at most.
    let connections: Int
    /// Source addresses that these come from.
    let addresses: Int
    /// Messages that it begins in a second over all connections, at most.
    let perSecond: Double
    var following = Following.reply
    /// After so long comes another byte of what ``AttackMessage/promptCount`` left out; nil: it never comes.
    var dripMilliseconds: Int?
    /// The sending side is shut behind the message, as `nc -N` does.
    var isHalfClosed = false
    /// Bytes that the kernel takes in for it (SO_RCVBUF); nil leaves it to the kernel.
    var receiveBufferBytes: Int?
    /// Whether a reply of 2xx gives away what must be refused.
    var mustBeRefused = false
    let message: @Sendable (inout SeededGenerator, AttackTarget) -> AttackMessage

    /// What a connection does once its message is on its way.
    enum Following: Sendable, Equatable {
        /// Waits for all replies and sends the next message.
        case reply
        /// Waits for the reply and closes.
        case end
        /// Stays until the server ends it.
        case hold
        /// Resets or closes it after so long (at once below 0), having read all that came, or nothing.
        case leave(afterMilliseconds: ClosedRange<Int>, reads: Bool)
        /// Stays, and takes a few bytes at a time.
        case sip(bytes: Int, everyMilliseconds: Int)
    }

    /// Messages without which it did not do what it says: half of what its own bounds let it begin at the least.
    func messagesMin(seconds: Double) -> Int { max(1, Int(min(Double(connections), perSecond * seconds) / 2)) }
}

/// What one connection sends.
struct AttackMessage: Sendable {
    /// Shared between connections where it is large.
    let bytes: [UInt8]
    /// How many of them are sent at once.
    let promptCount: Int
    /// Replies that they ask for.
    let replyCount: Int

    init(_ bytes: [UInt8], promptCount: Int? = nil, replyCount: Int = 1) {
        self.bytes = bytes
        self.promptCount = min(bytes.count, promptCount ?? bytes.count)
        self.replyCount = replyCount
    }
}

/// What attacks know of the server.
struct AttackTarget: Sendable {
    /// On 127.0.0.1.
    let port: UInt16
    /// Documents that there are.
    var documents: [String] = []

    var host: String { "127.0.0.1:\(port)" }

    func document(_ random: inout SeededGenerator) -> String { documents.randomElement(using: &random) ?? "nobody" }
}

/// What an attack came to.
struct AttackTally: Sendable, Equatable {
    let name: String
    /// Messages of which bytes went out; of empty ones the connection.
    var messages = 0
    var connections = 0
    /// Open at the same time, at most.
    var connectionsHeld = 0
    /// Connections that were refused, or did not come about in time.
    var unconnected = 0
    var bytesSent = 0
    var bytesReceived = 0
    /// Replies by status.
    var statuses: [Int: Int] = [:]
    /// Connections that the server ended before they had what they wanted.
    var cut = 0
    /// Connections that the attack itself broke off.
    var left = 0
    /// Messages that got no reply within ``AttackRun/replySecondsMax``.
    var unanswered = 0

    var replies: Int { statuses.values.reduce(0, +) }

    /// Replies of a class: 2 for 2xx.
    func replies(_ hundreds: Int) -> Int { statuses.reduce(0) { $0 + ($1.key / 100 == hundreds ? $1.value : 0) } }

    /// What it should have done and has not, or got and should not.
    func findings(_ attack: Attack, seconds: Double) -> [String] {
        var findings: [String] = []
        let least = attack.messagesMin(seconds: seconds)
        if messages < least {
            findings.append("\(name) began \(messages) messages of at least \(least): it attacked nothing")
        }
        guard attack.mustBeRefused else { return findings }
        if replies(2) > 0 { findings.append("\(name) got \(replies(2)) replies of 2xx, all of which must be refused") }
        if replies == 0, cut == 0 { findings.append("\(name) was never refused: no reply came") }
        return findings
    }
}
