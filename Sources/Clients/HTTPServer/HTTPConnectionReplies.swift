import Bytes
import EventLoop

/// Running handlers and sending whole replies. Confined like the rest of a connection.
extension HTTPConnection {
    func run(_ handler: @escaping HTTPRouter.AsyncHandler, _ request: HTTPRequest) {
        tcp.setDeadline(afterMilliseconds: context.configuration.handlerMillisecondsMax)
        let (loop, number) = (context.loop, exchange)
        // Held until the handler ends, which may be long after its client has left.
        let task = Task.immediate(executorPreference: loop) { [self, hold] in
            defer { withExtendedLifetime(hold) {} }
            let response: HTTPResponse?
            var fault: HTTPFault?
            do {
                response = try await handler(request)
            } catch {
                response = nil
                fault = HTTPFault(from: error)
            }
            let (result, failure) = (response, fault)
            if loop.isInLoop {
                complete(number, result, failure)
            } else {
                loop.execute { self.complete(number, result, failure) }
            }
        }
        if number == exchange, state == .handling { self.task = task }
    }

    /// The handler's result, unless it comes too late.
    private func complete(_ number: Int, _ response: HTTPResponse?, _ fault: HTTPFault?) {
        guard number == exchange, state == .handling else { return }
        if let response { send(response) } else { send(fault: fault ?? HTTPFault(from: CancellationError())) }
    }

    func send(fault: HTTPFault) {
        send(context.shapeFault(fault, request))
    }

    func send(_ response: HTTPResponse) {
        guard state != .over else { return }
        guard response.body.count <= context.configuration.replyBytesMax else {
            context.noteCut(.replySize)
            return send(fault: .replyTooLarge(response.body.count, context.configuration.replyBytesMax))
        }
        let isBodyless = response.status == 204 || response.status == 304 || (100..<200).contains(response.status)
        encodeHead(
            status: response.status, headers: response.headers,
            length: isBodyless ? .none : .bytes(response.body.count))
        if isBodyless || request?.method == .head {
            writeEncoded()
        } else if response.body.count <= 16_384 {
            context.encoder.append(body: response.body)
            writeEncoded()
        } else {
            writeEncoded()
            tcp.write(response.body)
        }
        finishExchange(status: response.status, bytes: isBodyless ? 0 : response.body.count)
    }

    func encodeHead(status: Int, headers: HTTPHeaders, length: HTTPResponseEncoder.Length) {
        if context.isDraining { isKeptAlive = false }
        let persistence: HTTPResponseEncoder.Persistence =
            if !isKeptAlive { .close } else if minorVersion == 0 { .keepAlive } else { .implied }
        context.encoder.encodeHead(
            status: status, headers: headers, length: length, persistence: persistence,
            nowMilliseconds: EventLoop.coarseMilliseconds(), fixedLines: context.fixedLines,
            requestID: request?.id ?? "", corsOrigin: context.cors?.origin(for: request))
    }

    func writeEncoded() {
        context.encoder.bytes.withUnsafeBytes { tcp.write(copying: $0) }
    }

    func finishExchange(status: Int, bytes: Int = 0) {
        observe(status: status, bytes: bytes)
        exchange += 1
        task = nil
        writer?.detach(.finished)
        writer = nil
        request = nil
        hold = nil
        if streamStatus != nil { context.count.addStreams(-1) }
        streamStatus = nil
        streamBytes = 0
        guard isKeptAlive else { return end() }
        beginNext()
    }

    func observe(status: Int, bytes: Int = 0) {
        guard let observe = context.observe else { return }
        let now = SystemClock.monotonicNanoseconds()
        let pattern: String? = if case .route(let route, _) = match, request != nil { route.pattern } else { nil }
        observe(
            HTTPExchange(
                method: request?.method ?? HTTPMethod("-"), pattern: pattern, path: request?.rawPath ?? "",
                status: status, nanoseconds: now - startedNanoseconds,
                firstNanoseconds: (repliedNanoseconds == 0 ? now : repliedNanoseconds) - startedNanoseconds,
                requestBytes: request?.body.count ?? 0, peer: tcp.peer, requestID: request?.id ?? "",
                replyBytes: bytes, client: request == nil ? tcp.peerAddress : request?.client,
                headers: request?.headers ?? [:]))
    }
}
