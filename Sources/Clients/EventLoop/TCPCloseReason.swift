/// Why a connection ended.
package enum TCPCloseReason: Sendable, Equatable {
    /// This side called `close` or finished.
    case closed
    /// The peer ended its side and nothing was left to send.
    case peerFinished
    /// A socket call failed with this `errno`, `ECONNRESET` or `EPIPE` mostly.
    case failed(Int32)
    /// The time set by `setDeadline` ran out.
    case deadline
    /// Queued output did not move for `outputStallMillisecondsMax`.
    case stalled
    /// The peer took what was queued too slowly, see `outputRateMin` and `outputWaitMillisecondsMax`.
    case slow
    /// Closed by its owner for want of memory or of places.
    case overloaded
    /// More than `outputBytesMax` was queued.
    case outputBound
    /// `inputBytesMax` arrived and `onRead` consumed none of it.
    case inputBound
    /// The loop was stopped.
    case loopStopped
}
