import CPostgres
import Dispatch
import Glibc
import Synchronization

/// Stops the call that a connection is in, from any thread: the statement is cancelled on the server, and the connection
/// stays usable where the server confirms that soon.
///
/// One object may serve all connections that one thread makes one after the other; those of several threads, as long as nobody
/// clears it: then a request ends all of their calls, and the next ones.
package final class PostgresInterrupt: Sendable {
    /// Ends of a pipe; -1 where there was no descriptor left, and calls then end at their time limit only.
    private let readEnd: Int32
    private let writeEnd: Int32
    private let requested = Mutex(false)

    package init() {
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) == 0 {
            for end in ends {
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            }
        } else {
            ends = [-1, -1]
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        if readEnd >= 0 { close(readEnd) }
        if writeEnd >= 0 { close(writeEnd) }
    }

    /// Ends the call that runs now; without one, the next.
    package func request() {
        requested.withLock { isRequested in
            guard !isRequested, writeEnd >= 0 else { return }
            var byte: UInt8 = 1
            isRequested = write(writeEnd, &byte, 1) == 1
        }
    }

    /// Forgets a request that came too late. From the connection's thread, between two calls.
    package func clear() {
        requested.withLock { isRequested in
            guard isRequested else { return }
            var byte: UInt8 = 0
            _ = read(readEnd, &byte, 1)
            isRequested = false
        }
    }

    /// Whether a request was made and not cleared yet. From any thread.
    package var isRequested: Bool { requested.withLock { $0 } }

    /// Readable while a request waits; negative where there is none to wait for.
    var descriptor: Int32 { readEnd }
}

/// What an interrupted call does until its statement ends: it waits, and sends the request to cancel again now and then,
/// because one that reaches the server before the statement has no effect.
struct CallInterruption {
    /// When the next request is due.
    var next: Deadline
    /// When the connection is given up.
    let end = Deadline(timeoutMilliseconds: 2_000)
    /// Signalled once the server has the last request.
    var isSent: DispatchSemaphore

    static let intervalMilliseconds = 100
}

extension PostgresConnection {
    /// Cancels the statement that runs, for the first time or again.
    ///
    /// - Throws: kind `interrupted` where it has not ended for long, or no request can be sent; the connection is closed.
    func cancelInterrupted(_ connection: OpaquePointer, _ operation: String) throws(PostgresError) {
        let next = Deadline(timeoutMilliseconds: CallInterruption.intervalMilliseconds)
        if var known = interruption {
            known.next = next
            // One request at a time: that before may still be on its way.
            let hasArrived = known.isSent.wait(timeout: .now()) == .success
            if known.end.remainingMilliseconds > 0, !hasArrived {
                interruption = known
                return
            }
            if known.end.remainingMilliseconds > 0,
                let sent = PQgetCancel(connection).flatMap({ Cancellations.send($0) })
            {
                known.isSent = sent
                interruption = known
                return
            }
        } else if let sent = PQgetCancel(connection).flatMap({ Cancellations.send($0) }) {
            interruption = CallInterruption(next: next, isSent: sent)
            return
        }
        close()
        throw interrupted(operation)
    }

    /// The connection may take the next statement only after the request to cancel has arrived, or it would hit that one.
    func settleInterruption() {
        guard let known = interruption else { return }
        interruption = nil
        let limit = DispatchTime.now() + .milliseconds(Int(known.end.remainingMilliseconds))
        if isUsable, known.isSent.wait(timeout: limit) != .success { close() }
    }

    func interrupted(_ operation: String) -> PostgresError {
        PostgresError(
            kind: .interrupted, operation: operation, server: server,
            message: "cancelled, because nobody waits for it any more")
    }
}

/// Requests to cancel, each on a thread of its own: libpq connects and waits for the server without a time limit, and a
/// call that is already out of time must not wait for that.
enum Cancellations {
    private static let max = 32
    private static let count = Atomic(0)

    /// Takes over `cancel`. While too many wait for servers that do not answer, nothing is sent: the caller closes the
    /// connection, the server notices that within ``ConnectionWatch/intervalMilliseconds``, and `statement_timeout` ends
    /// the statement at the latest.
    ///
    /// - Returns: what is signalled once the server has taken the request, or refused it; nil where none was sent.
    @discardableResult
    static func send(_ cancel: OpaquePointer) -> DispatchSemaphore? {
        guard count.wrappingAdd(1, ordering: .relaxed).newValue <= max else {
            count.wrappingSubtract(1, ordering: .relaxed)
            PQfreeCancel(cancel)
            return nil
        }
        // A cancel object belongs to no connection and to nobody else (libpq, "Canceling Queries in Progress").
        let address = UInt(bitPattern: cancel)
        let done = DispatchSemaphore(value: 0)
        DispatchQueue.global(qos: .utility).async {
            defer {
                count.wrappingSubtract(1, ordering: .relaxed)
                done.signal()
            }
            guard let cancel = OpaquePointer(bitPattern: address) else { return }
            var text = [CChar](repeating: 0, count: 256)
            PQcancel(cancel, &text, Int32(text.count))
            PQfreeCancel(cancel)
        }
        return done
    }
}
