import Glibc

/// What ends a connection by time: its owner's deadline, a peer that takes nothing, and one that takes too little.
extension TCPConnection {
    /// Has `onDeadline` called, or the connection closed, in `milliseconds` (resolution
    /// ``EventLoop/sweepMilliseconds``); nil for never. One deadline per connection: a later call replaces it.
    package func setDeadline(afterMilliseconds milliseconds: Int?) {
        loop.assertInLoop()
        guard phase == .open else { return }
        deadlineMilliseconds = milliseconds.map { EventLoop.coarseMilliseconds() + Int64($0) } ?? .max
    }

    func checkTime(_ now: Int64) {
        if now >= deadlineMilliseconds {
            deadlineMilliseconds = .max
            if phase == .open, let onDeadline { onDeadline() } else { close(phase == .open ? .deadline : .closed) }
        }
        if isPeerFinished, phase == .open, hasPeerLeft { return close(.failed(ECONNRESET)) }
        guard phase != .closed, output.count > 0, isWriteEventOn else { return pace.rest() }
        if outputStallMillisecondsMax > 0, now - lastProgressMilliseconds > Int64(outputStallMillisecondsMax) {
            return close(.stalled)
        }
        let limits = OutputPace.Limits(
            rateMin: outputRateMin, windowMilliseconds: outputWindowMilliseconds,
            waitMillisecondsMax: outputWaitMillisecondsMax)
        if pace.isTooSlow(queued: output.count, now: now, limits) { close(.slow) }
    }

    /// Whether the connection was reset behind the peer's end. Nothing is read any more then, so no event tells.
    private var hasPeerLeft: Bool {
        var state = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&state, 1, 0) == 1 && Int32(state.revents) & (POLLERR | POLLHUP) != 0
    }
}
