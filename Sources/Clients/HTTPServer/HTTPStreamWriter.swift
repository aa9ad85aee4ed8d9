import EventLoop
import Synchronization

/// Why a stream takes no more.
package enum HTTPStreamError: Error, Sendable, Equatable {
    /// The client left or was too slow, or the server stopped.
    case disconnected
    /// `finish` was called before, or the request was HEAD.
    case finished
}

/// The writing end of a reply of open length: chunked, or ended by closing for HTTP/1.0. Any task or thread.
///
/// What is written by one caller arrives in its order. Bytes pass through a bounded queue: ``write(_:)`` waits for the
/// reader, ``offer(_:)`` never waits and cuts a reader who lags too far behind.
package final class HTTPStreamWriter: Sendable {
    /// Nil where the reply is collected in memory.
    private let loop: EventLoop?
    private let limits: Limits
    private let state: Mutex<State>

    struct Limits: Sendable {
        /// `write` suspends above this many queued bytes, until half of it is sent.
        var bufferBytes: Int
        /// `offer` cuts the stream above this many queued bytes.
        var cutBytes: Int
    }

    private enum Command: Sendable {
        case start(status: Int, headers: HTTPHeaders)
        case respond(HTTPResponse)
        case bytes([UInt8])
        case finish
        case abort
    }

    private struct State {
        var connection: HTTPConnection?
        var commands: [Command] = []
        var isPosted = false
        /// Bytes in `commands`.
        var waitingBytes = 0
        /// Bytes that the connection had queued when it was last looked at.
        var queuedBytes = 0
        var isStarted = false
        var end: HTTPStreamError?
        var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
        var nextWaiter = 0
        /// Takes the reply where there is no connection.
        var collected: HTTPResponse?

        mutating func collect(_ commands: [Command]) {
            for command in commands {
                switch command {
                case .start(let status, let headers): collected = HTTPResponse(status: status, headers: headers)
                case .respond(let response): collected = response
                case .bytes(let bytes): collected?.body += bytes
                case .finish, .abort: break
                }
            }
        }
    }

    init(loop: EventLoop, connection: HTTPConnection, limits: Limits) {
        self.loop = loop
        self.limits = limits
        state = Mutex(State(connection: connection))
    }

    private init() {
        loop = nil
        limits = Limits(bufferBytes: .max, cutBytes: .max)
        state = Mutex(State(connection: nil, collected: HTTPResponse()))
    }

    /// A writer without a connection, whose reply is ``collected``; for tests of streams.
    package static func collecting() -> HTTPStreamWriter { HTTPStreamWriter() }

    /// What was written so far to a writer made by ``collecting()``.
    package var collected: HTTPResponse { state.withLock { $0.collected ?? HTTPResponse() } }

    /// Whether nothing more can be written.
    package var isClosed: Bool { state.withLock { $0.end != nil } }

    /// Bytes written and not yet taken by the kernel, about.
    package var queuedBytes: Int { state.withLock { $0.waitingBytes + $0.queuedBytes } }

    /// Sends the head. Without it, the first write sends `200` and `application/octet-stream`.
    package func start(status: Int = 200, headers: HTTPHeaders = [:]) {
        push { state in
            guard !state.isStarted else { return [] }
            state.isStarted = true
            return [.start(status: status, headers: headers)]
        }
    }

    /// Replies with one whole response in place of a stream, when it was not started.
    package func respond(_ response: HTTPResponse) {
        push { state in
            guard !state.isStarted else { return [] }
            state.isStarted = true
            state.end = .finished
            return [.respond(response)]
        }
    }

    /// Queues `bytes`; suspends while more than the bound is queued.
    /// - Throws: ``HTTPStreamError`` when nothing more can be written, also while it waits (the reader's stall is
    ///   limited); `CancellationError`.
    package func write(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        guard let mustWait = try queue(bytes, cutBytes: nil), mustWait else { return }
        let waiter = state.withLock { state -> Int in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if let end = state.end { return .failure(end) }
                    if state.waitingBytes + state.queuedBytes <= limits.bufferBytes { return .success(()) }
                    state.waiters[waiter] = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(throwing: CancellationError())
        }
    }

    /// Queues `bytes` without waiting; a client with more than the cut's bytes queued is disconnected.
    /// - Returns: false when the stream is over.
    @discardableResult
    package func offer(_ bytes: [UInt8]) -> Bool {
        ((try? queue(bytes, cutBytes: limits.cutBytes)) ?? nil) != nil
    }

    /// Ends the reply properly. Done for the handler when it returns.
    package func finish() {
        push { state in
            state.isStarted = true
            state.end = .finished
            return [.finish]
        }
    }

    /// Ends the connection, so that the client sees the reply as incomplete.
    package func abort() {
        push { state in
            state.end = .disconnected
            return [.abort]
        }
    }

    /// Whether the head is sent, so that it is too late for another reply.
    package var isStarted: Bool { state.withLock { $0.isStarted } }

    /// - Returns: whether more than the bound is queued now; nil when the stream was cut.
    private func queue(_ bytes: [UInt8], cutBytes: Int?) throws -> Bool? {
        var error: HTTPStreamError?
        var result: Bool?
        push { state in
            if let end = state.end {
                error = end
                return []
            }
            var commands: [Command] = []
            if !state.isStarted {
                state.isStarted = true
                commands.append(.start(status: 200, headers: ["Content-Type": "application/octet-stream"]))
            }
            if let cutBytes, state.waitingBytes + state.queuedBytes + bytes.count > cutBytes {
                state.end = .disconnected
                return [.abort]
            }
            state.waitingBytes += bytes.count
            result = state.waitingBytes + state.queuedBytes > limits.bufferBytes
            return commands + [.bytes(bytes)]
        }
        if let error { throw error }
        return result
    }

    /// Adds the commands that `make` gives, unless the connection is gone, and has the loop take them.
    private func push(_ make: (inout State) -> [Command]) {
        let mustPost = state.withLock { state -> Bool in
            let wasOver = state.end != nil
            let commands = make(&state)
            // A stream that is over takes nothing more, but its own last command.
            guard !wasOver, !commands.isEmpty else { return false }
            if state.collected != nil {
                state.collect(commands)
                return false
            }
            guard state.connection != nil else { return false }
            state.commands.append(contentsOf: commands)
            guard !state.isPosted else { return false }
            state.isPosted = true
            return true
        }
        guard mustPost, let loop else { return }
        if loop.isInLoop { deliver() } else { loop.execute { self.deliver() } }
    }

    /// Hands the commands to the connection; on the loop's thread.
    private func deliver() {
        let (connection, commands) = state.withLock { state -> (HTTPConnection?, [Command]) in
            state.isPosted = false
            defer { state.commands = [] }
            return (state.connection, state.commands)
        }
        guard let connection else { return }
        for command in commands {
            switch command {
            case .start(let status, let headers): connection.startStream(self, status: status, headers: headers)
            case .respond(let response): connection.respondInPlaceOfStream(self, response)
            case .bytes(let bytes): connection.continueStream(self, bytes)
            case .finish: connection.finishStream(self)
            case .abort: connection.abortStream(self)
            }
        }
        let count = commands.reduce(0) { sum, command in
            if case .bytes(let bytes) = command { sum + bytes.count } else { sum }
        }
        update(queuedBytes: connection.queuedStreamBytes, delivered: count)
    }

    /// The connection's queue as it is now; wakes the waiting writers when it is low. On the loop's thread.
    func update(queuedBytes: Int, delivered: Int = 0) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, any Error>] in
            state.waitingBytes -= delivered
            state.queuedBytes = queuedBytes
            guard state.waitingBytes + queuedBytes <= limits.bufferBytes / 2 else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The connection lets go: nothing more is taken, whoever waits is told.
    func detach(_ error: HTTPStreamError) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, any Error>] in
            if state.end == nil { state.end = error }
            state.connection = nil
            state.commands = []
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(throwing: error) }
    }
}
