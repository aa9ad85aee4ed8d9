import Bytes
import HTTPServer
import Synchronization

/// What a simulator does wrong on purpose, connection by connection, as real sources do on bad days. The same seed gives
/// the same order.
///
/// Refusals (503, 500, 429 with Retry-After, a page in place of a stream), streams that end at once, cuts and resets within
/// an event, bytes that drip, line ends of all three kinds, a byte order mark, text cut anywhere, and events that come
/// again on a resume.
package struct BadManners: Sendable {
    /// Fixes the order and all that is random.
    package var seed: UInt64
    /// The longest life of a connection, in milliseconds.
    package var lifeMilliseconds = 5_000
    /// Seconds that a 429 asks to wait.
    package var retryAfterSeconds = 1
    /// Events that may come again on a resume.
    package var repeatsMax = 50

    package init(seed: UInt64) {
        self.seed = seed
    }

    /// What one connection does; all of them once, shuffled, before one a second time.
    enum Kind: CaseIterable {
        case unavailable, broken, tooMany, page, empty, cut, reset, drip, carriageReturns, mark
    }

    /// The manners of the connection `number`, counted from 0.
    func kind(_ number: Int) -> Kind {
        let all = Kind.allCases
        var generator = SeededGenerator(seed: seed &+ UInt64(number / all.count))
        return all.shuffled(using: &generator)[number % all.count]
    }
}

/// Keeps count of a simulator's connections, and whether clients wait as long as they were asked to.
final class MannersLog: Sendable {
    private let state = Mutex(State())

    private struct State {
        var connections = 0
        /// Before this time (monotonic milliseconds) nobody may come.
        var closedUntil: Int64 = .min
    }

    /// - Returns: the connection's number, and whether it came before it was asked to.
    func open(now: Int64) -> (number: Int, isEarly: Bool) {
        state.withLock { state in
            defer { state.connections += 1 }
            return (state.connections, now < state.closedUntil)
        }
    }

    func close(until time: Int64) {
        state.withLock { $0.closedUntil = time }
    }
}

/// One connection that misbehaves: it changes and cuts what would be sent.
struct BadConnection {
    let kind: BadManners.Kind
    private let deadline: Int64
    private var generator: SeededGenerator
    private var isFirst = true
    /// Bytes that still go out one by one.
    private var dripping: Int

    init(_ manners: BadManners, number: Int, now: Int64) {
        kind = manners.kind(number)
        generator = SeededGenerator(seed: manners.seed &* 31 &+ UInt64(number))
        let life = max(1, manners.lifeMilliseconds)
        deadline = now + Int64.random(in: Int64(life / 4)...Int64(life), using: &generator)
        dripping = kind == .drip ? 400 : 0
    }

    /// How many events come again.
    mutating func repeats(_ manners: BadManners) -> Int {
        Int.random(in: 0...manners.repeatsMax, using: &generator)
    }

    /// What is answered in place of a stream; nil where there will be one.
    func refusal(_ manners: BadManners) -> HTTPResponse? {
        switch kind {
        case .unavailable: HTTPResponse(status: 503, headers: [:], body: [])
        case .broken: HTTPResponse(status: 500, headers: [:], body: Array("upstream connect error".utf8))
        case .tooMany:
            HTTPResponse(status: 429, headers: ["Retry-After": String(manners.retryAfterSeconds)], body: [])
        case .page:
            HTTPResponse(status: 200, headers: ["Content-Type": "text/html"], body: Array("data: no\n\n".utf8))
        default: nil
        }
    }

    /// Whether the connection has lived long enough.
    func isOver(now: Int64) -> Bool { kind == .empty || now >= deadline }

    /// Sends whole frames in this connection's way.
    mutating func send(_ bytes: [UInt8], to writer: HTTPStreamWriter) async throws {
        var rest = written(bytes)[...]
        while !rest.isEmpty {
            let isDripping = dripping > 0
            let size = isDripping ? 1 : Int.random(in: 1...30_000, using: &generator)
            try await writer.write(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
            dripping -= isDripping ? 1 : 0
            if isDripping { try await Task.sleep(for: .milliseconds(2)) }
        }
    }

    /// Ends the connection; `next` is a whole frame of which some may still go out.
    mutating func end(next: [UInt8], _ writer: HTTPStreamWriter) async throws {
        if kind == .cut || kind == .reset || kind == .drip, next.count > 1 {
            try await writer.write(Array(written(next).prefix(Int.random(in: 1..<next.count, using: &generator))))
        }
        if kind == .reset {
            // Not before some of it left.
            try await Task.sleep(for: .milliseconds(50))
            writer.abort()
        }
    }

    private mutating func written(_ bytes: [UInt8]) -> [UInt8] {
        defer { isFirst = false }
        switch kind {
        case .carriageReturns: return bytes.map { $0 == 0x0A ? 0x0D : $0 }
        case .mark:
            var result: [UInt8] = isFirst ? [0xEF, 0xBB, 0xBF] : []
            for byte in bytes {
                if byte == 0x0A { result.append(0x0D) }
                result.append(byte)
            }
            return result
        default: return bytes
        }
    }
}
