import Bytes
import EventLoop

/// Replies of open length: the connection's side of a stream writer. Confined like the rest of it.
extension HTTPConnection {
    /// Lets `handler` write the reply bit by bit.
    func run(_ handler: @escaping HTTPRouter.StreamHandler, _ request: HTTPRequest) {
        let configuration = context.configuration
        let (loop, number) = (context.loop, exchange)
        let writer = HTTPStreamWriter(
            loop: loop, connection: self,
            limits: .init(bufferBytes: configuration.streamBufferBytes, cutBytes: configuration.streamCutBytes))
        self.writer = writer
        state = .streaming
        tcp.setDeadline(afterMilliseconds: nil)
        tcp.lowWatermarkBytes = configuration.streamBufferBytes / 2
        tcp.setUnsentBytesMax(configuration.streamUnsentBytesMax)
        if let bytes = configuration.streamSendBufferBytes { tcp.setSendBuffer(bytes: bytes) }
        // Held until the handler ends, which may be long after its client has left.
        let task = Task.immediate(executorPreference: loop) { [self, hold] in
            defer { withExtendedLifetime(hold) {} }
            do {
                try await handler(request, writer)
                if writer.isStarted { return writer.finish() }
                throw HTTPFault(status: 500, type: "internal_error", message: "the handler sent no reply")
            } catch {
                let fault = HTTPFault(from: error)
                if loop.isInLoop {
                    failStream(number, fault)
                } else {
                    loop.execute { self.failStream(number, fault) }
                }
            }
        }
        if number == exchange, state == .streaming { self.task = task }
    }

    var queuedStreamBytes: Int { tcp.queuedOutputBytes }

    func startStream(_ writer: HTTPStreamWriter, status: Int, headers: HTTPHeaders) {
        context.loop.assertInLoop()
        guard writer === self.writer, state == .streaming, streamStatus == nil else { return }
        streamStatus = status
        context.count.addStreams(1)
        if context.observe != nil { repliedNanoseconds = SystemClock.monotonicNanoseconds() }
        isChunked = minorVersion == 1
        if !isChunked { isKeptAlive = false }
        let isHead = request?.method == .head
        encodeHead(status: status, headers: headers, length: isChunked ? .chunked : .untilClose)
        writeEncoded()
        guard isHead else { return }
        task?.cancel()
        finishExchange(status: status)
    }

    func respondInPlaceOfStream(_ writer: HTTPStreamWriter, _ response: HTTPResponse) {
        context.loop.assertInLoop()
        guard writer === self.writer, state == .streaming, streamStatus == nil else { return }
        send(response)
    }

    func continueStream(_ writer: HTTPStreamWriter, _ bytes: [UInt8]) {
        context.loop.assertInLoop()
        // An empty chunk would be the last one.
        guard writer === self.writer, state == .streaming, !bytes.isEmpty else { return }
        streamBytes += bytes.count
        if isChunked {
            context.encoder.encodeChunk(bytes)
            writeEncoded()
        } else {
            tcp.write(bytes)
        }
    }

    func finishStream(_ writer: HTTPStreamWriter) {
        context.loop.assertInLoop()
        guard writer === self.writer, state == .streaming else { return }
        if streamStatus == nil { startStream(writer, status: 200, headers: [:]) }
        guard let status = streamStatus else { return }
        if isChunked { tcp.write(Array("0\r\n\r\n".utf8)) }
        finishExchange(status: status, bytes: streamBytes)
    }

    func abortStream(_ writer: HTTPStreamWriter) {
        context.loop.assertInLoop()
        guard writer === self.writer, state == .streaming else { return }
        tcp.close()
    }

    private func failStream(_ number: Int, _ fault: HTTPFault) {
        guard number == exchange, state == .streaming else { return }
        if streamStatus == nil { send(fault: fault) } else { tcp.close() }
    }
}
