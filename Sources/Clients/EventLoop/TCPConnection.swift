package import Bytes
import CEvent
import Glibc

/// One accepted TCP connection, confined to its loop.
///
/// `@unchecked Sendable`, because only the reference travels: each member that another module may use starts with
/// ``EventLoop/assertInLoop()`` (or is a constant), and the loop calls the closures on its own thread only. The
/// closures are dropped at the end, which breaks any cycle through them.
package final class TCPConnection: @unchecked Sendable {
    package let loop: EventLoop
    /// The peer's address and port, for example `127.0.0.1:54012` or `[::1]:54012`.
    package let peer: String
    /// The peer's address; nil where it could not be told.
    package let peerAddress: IPAddress?
    let descriptor: Int32
    /// Nil where bytes go over the socket as they are.
    private let tls: TLSSession?
    /// The listener's, which it reaches back to; dropped at the end like the rest.
    private var onEnd: (() -> Void)?
    /// The place in the loop's list; -1 outside of it. The loop's business.
    var slot = -1

    enum Phase {
        case open
        /// The rest of the output goes out; input is discarded.
        case finishing
        /// Our side is shut; input is discarded until the peer ends or the linger time does.
        case lingering
        case closed
    }

    var phase = Phase.open
    private var input = InputBuffer()
    private(set) var output = OutputQueue()
    private var readEvent: OpaquePointer?
    private var writeEvent: OpaquePointer?
    private var isReadEventOn = false
    private(set) var isWriteEventOn = false
    /// TLS must write (a part of its handshake) before it can go on reading.
    private var mustWriteToRead = false
    private var isReadingPaused = false
    private var isDelivering = false
    private var isDirty = false
    private var mustRedeliver = false
    private var wasAboveWatermark = false
    var deadlineMilliseconds = Int64.max
    private var lingerMilliseconds = 0
    private(set) var lastProgressMilliseconds: Int64 = 0
    var pace = OutputPace()
    /// What ``outputLedger`` was told of the queue.
    private var bookedOutputBytes = 0

    // MARK: What the owner sets, on the loop's thread

    /// Lends the unconsumed input; returns how many bytes were consumed from its front. Called again at once while it
    /// consumes some and some are left. The memory is valid during the call only.
    package var onRead: ((_ bytes: UnsafeRawBufferPointer) -> Int)?
    /// The queued output fell to `lowWatermarkBytes` or below after it had been above.
    package var onDrained: (() -> Void)?
    /// The peer ended its sending side (it may still read). Without it the output is sent and the connection closed.
    package var onPeerFinished: (() -> Void)?
    /// The deadline passed. Without it the connection is closed. May set another.
    package var onDeadline: (() -> Void)?
    /// The connection is over, called once; nothing is called after it.
    package var onClose: ((TCPCloseReason) -> Void)?
    /// `onRead` is called only when this many bytes are there; set it to a known frame length to be left in peace.
    package var inputBytesMin = 1
    /// Bytes that may wait for `onRead` to consume them.
    package var inputBytesMax = 1_048_576
    /// See `onDrained`; bytes.
    package var lowWatermarkBytes = 65_536
    /// Bytes that may wait to be sent, file regions included; beyond it the connection is cut.
    package var outputBytesMax = 64 * 1_048_576
    /// How long queued output may stand still before the connection is cut; 0 for no limit.
    package var outputStallMillisecondsMax = 30_000
    /// The least that the peer must take of what waits, bytes a second on average over ``outputWindowMilliseconds``,
    /// before the connection is cut; 0 for no limit.
    package var outputRateMin = 0
    /// See ``outputRateMin``; nothing is judged before the first has passed.
    package var outputWindowMilliseconds = 30_000
    /// How long a byte may wait to be taken, before the connection is cut; 0 for no limit.
    package var outputWaitMillisecondsMax = 0
    /// Told of what stays queued at the end of a turn; shared by the loop's connections.
    package var outputLedger: MemoryLedger?

    /// Takes over `descriptor`, which must be non-blocking; on the loop's thread.
    init(loop: EventLoop, descriptor: Int32, tls: TLSSession?, peer: String, onEnd: @escaping () -> Void) {
        self.loop = loop
        self.descriptor = descriptor
        self.tls = tls
        self.peer = peer
        // A link-local address names its interface behind a percent sign.
        peerAddress = peer.lastIndex(of: ":").flatMap {
            IPAddress(String(peer[..<$0].filter { $0 != "[" && $0 != "]" }.prefix { $0 != "%" }))
        }
        self.onEnd = onEnd
    }

    /// Starts reading; false where the loop stops or libevent has no memory, and then the connection is closed.
    func start() -> Bool {
        let context = Unmanaged.passUnretained(self).toOpaque()
        readEvent = loop.newEvent(
            descriptor, EV_READ | EV_PERSIST,
            { _, _, context in
                guard let context else { return }
                Unmanaged<TCPConnection>.fromOpaque(context).takeUnretainedValue().handleReadable()
            }, context)
        writeEvent = loop.newEvent(
            descriptor, EV_WRITE | EV_PERSIST,
            { _, _, context in
                guard let context else { return }
                Unmanaged<TCPConnection>.fromOpaque(context).takeUnretainedValue().handleWritable()
            }, context)
        guard readEvent != nil, writeEvent != nil, loop.add(self) else {
            close(.loopStopped)
            return false
        }
        updateReadEvent()
        return true
    }

    // MARK: Input

    /// Stops taking bytes from the socket and calling `onRead`; the kernel's window then slows the peer down.
    package func pauseReading() {
        loop.assertInLoop()
        isReadingPaused = true
        updateReadEvent()
    }

    /// Takes up reading again; what is buffered is lent again before the turn ends.
    package func resumeReading() {
        loop.assertInLoop()
        guard isReadingPaused else { return }
        isReadingPaused = false
        updateReadEvent()
        deliverAgain()
    }

    /// Has what is buffered lent to `onRead` once more before the turn ends, though nothing new arrived.
    package func deliverAgain() {
        loop.assertInLoop()
        guard phase == .open, input.count > 0, !isDelivering else { return }
        mustRedeliver = true
        markDirty()
    }

    /// Whether the peer ended its sending side.
    package private(set) var isPeerFinished = false

    /// Whether nothing more can be sent.
    package var isClosed: Bool { phase != .open }

    /// Bytes that arrived and were not consumed, outside of `onRead`.
    package var bufferedInputBytes: Int { input.count }

    /// Memory held for them.
    package var inputCapacityBytes: Int { input.capacity }

    private func updateReadEvent() {
        let mustRead = phase != .closed && !isPeerFinished && (phase != .open || !isReadingPaused)
        guard mustRead != isReadEventOn, let readEvent else { return }
        isReadEventOn = mustRead
        if mustRead { event_add(readEvent, nil) } else { event_del(readEvent) }
    }

    private func handleReadable() {
        // Discarded input, and input after nothing unconsumed, goes through the loop's shared space.
        let mustKeep = input.count > 0 && phase == .open
        let space =
            mustKeep ? input.reserve(max(16_384, min(inputBytesMin, inputBytesMax) - input.count)) : loop.readSpace
        guard let count = receive(into: space) else { return }
        if count == 0 { return handleEnd() }
        guard phase == .open else { return }
        if mustKeep {
            input.didWrite(count)
            deliverBuffered()
        } else {
            let bytes = UnsafeRawBufferPointer(rebasing: space[..<count])
            let consumed = deliver(bytes)
            if phase == .open, consumed < count { input.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
        }
        if phase == .open, input.count >= inputBytesMax, !isReadingPaused { return close(.inputBound) }
        if output.count > 0 { flush() }
    }

    /// Bytes from the socket, 0 at the peer's end; nil where there are none now or the connection failed.
    private func receive(into space: UnsafeMutableRawBufferPointer) -> Int? {
        // What is discarded needs no decryption.
        guard let tls, phase == .open else {
            let count = recv(descriptor, space.baseAddress, space.count, 0)
            if count >= 0 { return count }
            if errno != EAGAIN && errno != EINTR { close(.failed(errno)) }
            return nil
        }
        switch tls.read(into: space) {
        case .bytes(let count): return count
        case .ended: return 0
        case .blocked: return nil
        case .wantsWrite:
            mustWriteToRead = true
            setWriteEvent(true)
            return nil
        case .failed(let code):
            close(.failed(code))
            return nil
        }
    }

    private func handleWritable() {
        if mustWriteToRead {
            mustWriteToRead = false
            handleReadable()
        }
        flush()
    }

    private func deliverBuffered() {
        // Only `consume` and `append` change the buffer, and neither is reachable from `onRead`.
        let consumed = deliver(input.bytes)
        if phase != .closed { input.consume(consumed) }
    }

    /// Calls `onRead` until it stops consuming; returns the sum.
    private func deliver(_ bytes: UnsafeRawBufferPointer) -> Int {
        isDelivering = true
        defer { isDelivering = false }
        var start = 0
        while phase == .open, !isReadingPaused, bytes.count - start >= max(1, inputBytesMin), let onRead {
            let consumed = onRead(UnsafeRawBufferPointer(rebasing: bytes[start...]))
            precondition(consumed >= 0 && consumed <= bytes.count - start, "consumed more than was lent")
            if consumed == 0 { break }
            start += consumed
        }
        return start
    }

    private func handleEnd() {
        isPeerFinished = true
        updateReadEvent()
        switch phase {
        case .open:
            if let onPeerFinished { onPeerFinished() } else { finish(lingerMilliseconds: 0) }
            if output.count > 0 { flush() }
        case .finishing: flush()
        case .lingering: close(.closed)
        case .closed: break
        }
    }

    // MARK: Output

    /// Bytes that wait to be taken by the kernel.
    package var queuedOutputBytes: Int { output.count }

    /// Since when some wait without a break; milliseconds of ``EventLoop/coarseMilliseconds()``.
    package private(set) var outputSince: Int64 = 0

    /// Queues `bytes`; sent at the end of the read callback or of the turn. Ignored once the connection is closing.
    package func write(_ bytes: [UInt8]) {
        loop.assertInLoop()
        guard phase == .open else { return }
        output.append(bytes)
        didQueue()
    }

    /// Queues a copy of `bytes`.
    package func write(copying bytes: UnsafeRawBufferPointer) {
        loop.assertInLoop()
        guard phase == .open else { return }
        output.append(bytes)
        didQueue()
    }

    /// Queues a part of a file, which goes from the page cache to the socket.
    package func write(_ region: FileRegion) {
        loop.assertInLoop()
        guard phase == .open else { return }
        output.append(region)
        didQueue()
    }

    private func didQueue() {
        if output.count > outputBytesMax { return close(.outputBound) }
        if output.count > lowWatermarkBytes { wasAboveWatermark = true }
        // A peer that takes nothing has no flush to book what is queued meanwhile.
        if isWriteEventOn { bookOutput() } else if !isDelivering { markDirty() }
    }

    private func markDirty() {
        guard !isDirty else { return }
        isDirty = true
        loop.markDirty(self)
    }

    /// The end of a turn in which something was queued or reading resumed; called by the loop.
    func settle() {
        isDirty = false
        if mustRedeliver {
            mustRedeliver = false
            if phase == .open, input.count > 0 { deliverBuffered() }
        }
        flush()
    }

    /// Bytes per flush, so that one fast reader does not hold up the others.
    private static let flushBytesMax = 1_048_576

    private func flush() {
        guard phase == .open || phase == .finishing else { return }
        let before = output.count
        let progress = before == 0 ? .empty : output.send(to: descriptor, through: tls, budget: Self.flushBytesMax)
        if output.count < before {
            lastProgressMilliseconds = EventLoop.coarseMilliseconds()
            pace.note(taken: before - output.count)
        }
        switch progress {
        case .empty: setWriteEvent(mustWriteToRead)
        case .blocked, .paused:
            if !isWriteEventOn, output.count == before { lastProgressMilliseconds = EventLoop.coarseMilliseconds() }
            setWriteEvent(true)
        case .failed(let code): return close(.failed(code))
        }
        if wasAboveWatermark, output.count <= lowWatermarkBytes {
            wasAboveWatermark = false
            if phase == .open { onDrained?() }
        }
        if phase == .finishing, output.count == 0 { startLingering() }
        // Last, because being over may close connections, this one among them.
        if output.count != bookedOutputBytes { bookOutput() }
    }

    private func bookOutput() {
        let difference = output.count - bookedOutputBytes
        if bookedOutputBytes == 0 { outputSince = EventLoop.coarseMilliseconds() }
        bookedOutputBytes = output.count
        outputLedger?.adjust(by: difference)
    }

    private func setWriteEvent(_ isOn: Bool) {
        guard isOn != isWriteEventOn, let writeEvent else { return }
        isWriteEventOn = isOn
        if isOn { event_add(writeEvent, nil) } else { event_del(writeEvent) }
    }

    // MARK: End

    /// Sends what is queued, shuts our side, and discards input until the peer ends, at most `lingerMilliseconds`:
    /// closing with unread input would reset the connection and could take the last reply with it.
    package func finish(lingerMilliseconds: Int = 2_000) {
        loop.assertInLoop()
        guard phase == .open else { return }
        phase = .finishing
        self.lingerMilliseconds = lingerMilliseconds
        deadlineMilliseconds = .max
        isReadingPaused = false
        // What is lent just now is consumed by its reader.
        if !isDelivering { input.consume(input.count) }
        updateReadEvent()
        markDirty()
    }

    private func startLingering() {
        guard !isPeerFinished, lingerMilliseconds > 0 else { return close(isPeerFinished ? .peerFinished : .closed) }
        phase = .lingering
        tls?.sendEnd()
        shutdown(descriptor, Int32(SHUT_WR))
        deadlineMilliseconds = EventLoop.coarseMilliseconds() + Int64(lingerMilliseconds)
    }

    /// Ends the connection now; queued output is dropped.
    package func close(_ reason: TCPCloseReason = .closed) {
        loop.assertInLoop()
        guard phase != .closed else { return }
        phase = .closed
        if let readEvent { event_free(readEvent) }
        if let writeEvent { event_free(writeEvent) }
        readEvent = nil
        writeEvent = nil
        Glibc.close(descriptor)
        output.removeAll()
        if bookedOutputBytes != 0 { bookOutput() }
        outputLedger = nil
        let (onEnd, onClose) = (self.onEnd, self.onClose)
        (onRead, onDrained, onPeerFinished, onDeadline) = (nil, nil, nil, nil)
        (self.onEnd, self.onClose) = (nil, nil)
        loop.remove(self)
        onEnd?()
        onClose?(reason)
    }
}
