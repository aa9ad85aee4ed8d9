import EventLoop

/// How connections end, and which ones are not let in. Confined like the rest of a connection.
extension HTTPConnection {
    func deadlinePassed() {
        switch state {
        // Who takes a reply is judged by its pace, see `TCPConnection.outputRateMin`, and not as idle.
        case .reading where isWaitingForDrain || (!isTimingRequest && tcp.queuedOutputBytes > 0):
            tcp.setDeadline(afterMilliseconds: context.configuration.idleMillisecondsMax)
        case .reading where hasPart && (hasHead || tcp.bufferedInputBytes > 0):
            refuse(
                HTTPFault(
                    status: 408, type: "request_timeout",
                    message: "the request did not arrive within \(context.configuration.requestMillisecondsMax) ms"))
        case .handling:
            task?.cancel()
            isKeptAlive = false
            send(
                fault: HTTPFault(
                    status: 503, type: "handler_timeout",
                    message: "no answer within \(context.configuration.handlerMillisecondsMax) ms"))
        case .reading, .streaming, .over:
            tcp.close(.deadline)
        }
    }

    /// The client sends nothing more: it has left, or it only shut its sending side and still gets its answer. Both look
    /// the same until something is sent, so the question is put a little later (``HTTPConnection/probe()``); a stream that
    /// runs is cut.
    func peerFinished() {
        switch state {
        case .reading: if !isWaitingForDrain { endUnread() }
        case .handling: probe()
        case .streaming: if streamStatus == nil { probe() } else { tcp.close(.peerFinished) }
        case .over: break
        }
    }

    /// The client left in the middle of a request, or between two.
    func endUnread() {
        if hasHead {
            started()
            observe(status: HTTPExchange.abandoned)
        }
        end()
    }

    func closed(_ reason: TCPCloseReason) {
        switch state {
        case .streaming: observe(status: streamStatus ?? HTTPExchange.abandoned, bytes: streamBytes)
        case .handling: observe(status: HTTPExchange.abandoned)
        case .reading where hasHead:
            started()
            observe(status: cutReason == nil ? HTTPExchange.abandoned : 503)
        case .reading, .over: break
        }
        if let cut = cutReason ?? HTTPCutReason(reason) { context.noteCut(cut) }
        state = .over
        exchange += 1
        task?.cancel()
        task = nil
        if streamStatus != nil { context.count.addStreams(-1) }
        streamStatus = nil
        writer?.detach(.disconnected)
        writer = nil
        hold = nil
        bookNothing()
        if hasShare, let address = tcp.peerAddress { context.shares?.give(address.network) }
        hasShare = false
        context.remove(self)
    }

    /// The server stops: ends what waits for a request, asks a stream to end.
    func drain() {
        context.loop.assertInLoop()
        switch state {
        case .reading: if !hasHead, tcp.bufferedInputBytes == 0 { end() }
        case .streaming: task?.cancel()
        case .handling, .over: break
        }
    }

    // MARK: Places

    /// Counts the connection against its address. A proxy stands for many clients and is not counted.
    func takeShare() -> Bool {
        guard let shares = context.shares, !isPeerProxy, let address = tcp.peerAddress else { return true }
        hasShare = shares.take(address.network)
        return hasShare
    }

    /// An address that has all the connections it may: told so where nothing must be negotiated first.
    func refuseAddress() {
        guard context.configuration.tls == nil else {
            cutReason = .address
            return tcp.close(.overloaded)
        }
        context.noteCut(.address)
        isKeptAlive = false
        lingerMilliseconds = Self.refusedLingerMilliseconds
        started()
        send(fault: .tooManyConnections(context.configuration.connectionsPerAddressMax))
    }

    /// Whether it may be closed for another: it waits for a request or for the rest of one, with nothing left to be taken
    /// by its client.
    func isReplaceable(_ now: Int64) -> Bool {
        switch state {
        case .reading: tcp.queuedOutputBytes == 0 && now - waitingSince >= Self.replaceableMilliseconds
        case .over: tcp.queuedOutputBytes == 0
        case .handling, .streaming: false
        }
    }

    /// Short, since these hold places.
    private static let refusedLingerMilliseconds = 250
    /// So long a new connection is left alone: its request is on the way.
    private static let replaceableMilliseconds: Int64 = 500
}

extension HTTPFault {
    static var overloaded: HTTPFault {
        HTTPFault(
            status: 503, type: "overloaded", message: "too many requests are under way; try again later",
            headers: ["Retry-After": "1"])
    }

    static func tooManyConnections(_ most: Int) -> HTTPFault {
        HTTPFault(
            status: 429, type: "too_many_connections", message: "an address may have \(most) connections at once",
            headers: ["Retry-After": "1"])
    }

    static func replyTooLarge(_ count: Int, _ most: Int) -> HTTPFault {
        HTTPFault(
            status: 500, type: "reply_too_large",
            message: "the reply has \(count) bytes, more than the \(most) that one may have; ask for less at once")
    }
}
