import Bytes
import CCurl
import CLateLibraries
import Synchronization

/// What all requests of a client share.
package struct HTTPClientConfiguration: Sendable {
    /// Sent unless a request brings its own `User-Agent`.
    package var userAgent: String
    /// A file with certificates (PEM) to trust in place of the system's; nil for the system's.
    package var certificateAuthorities: String?
    /// The time for name, connection and TLS handshake of a buffered request, milliseconds.
    package var connectMillisecondsMax = 10_000

    package init(userAgent: String? = nil) {
        self.userAgent = userAgent ?? Product.userAgent
    }
}

/// HTTP over libcurl, synchronous: every call blocks its thread, at most for the times it was given, so call it from
/// a thread of your own and never on Swift's cooperative pool.
///
/// Any number of threads may share one client; each call has a libcurl handle to itself and gives it back with its
/// kept-alive connections. `@unchecked Sendable`, because the handles (which may not be used by two threads at once,
/// but may move between them) sit in two lists that are only touched under `lock`, and a handle that is in use is out of
/// the idle list and touched by its one call only, except for `curl_multi_wakeup`, which libcurl allows from any thread
/// and which is called under the same lock that a call takes before it lets go of its handle.
package final class HTTPClient: @unchecked Sendable {
    private let configuration: HTTPClientConfiguration
    private let lock = Mutex(())
    private var idleHandles: [CurlHandle] = []
    private var activeHandles: [CurlHandle] = []

    /// Handles, each with its connections, that are kept for later calls.
    private static let idleHandlesMax = 4
    /// How long a wait may be before `shouldStop` is asked again.
    private static let pollMillisecondsMax: Int64 = 200

    package init(_ configuration: HTTPClientConfiguration = HTTPClientConfiguration()) {
        self.configuration = configuration
    }

    /// Has every call in progress ask its `shouldStop` now. Any thread.
    package func wake() {
        lock.withLock { _ in
            for handle in activeHandles { curl_multi_wakeup(handle.multi) }
        }
    }

    /// Sends `request` and waits for the whole reply, whatever its status.
    /// - Parameters:
    ///   - timeoutMilliseconds: for all of it.
    ///   - shouldStop: asked at least every 200 ms.
    /// - Throws: when no whole reply came.
    package func request(
        _ request: HTTPClientRequest, timeoutMilliseconds: Int, shouldStop: () -> Bool = { false }
    ) throws(HTTPClientError) -> HTTPClientResponse {
        let sink = TransferSink(followsRedirects: request.redirectsMax > 0, bodyBytesMax: request.bodyBytesMax)
        let handle = try takeHandle(request)
        defer { giveBack(handle) }
        try handle.prepare(request, configuration, sink: sink)
        let connectMilliseconds = min(configuration.connectMillisecondsMax, timeoutMilliseconds)
        _ = medallion_curl_set_long(handle.easy, CURLOPT_CONNECTTIMEOUT_MS, connectMilliseconds)
        _ = medallion_curl_set_long(handle.easy, CURLOPT_TIMEOUT_MS, max(1, timeoutMilliseconds))
        var transfer = Transfer(handle: handle, request: request, sink: sink)
        try transfer.begin()
        defer { transfer.end() }
        while true {
            if shouldStop() { throw transfer.error(.stopped) }
            if try transfer.step() { break }
            transfer.wait(milliseconds: Self.pollMillisecondsMax)
        }
        guard let head = sink.head else { throw transfer.error(.badReply) }
        let body = try Self.unpacked(sink.takeBody(), head.status, head.headers, request)
        return HTTPClientResponse(
            status: head.status, headers: head.headers, body: body, subject: request.subject,
            url: SecretURL(request.url))
    }

    /// The body of a whole reply as it was before it was encoded for its way.
    private static func unpacked(
        _ body: [UInt8], _ status: Int, _ headers: HTTPClientHeaders, _ request: HTTPClientRequest
    ) throws(HTTPClientError) -> [UInt8] {
        guard request.contentCoding == .undone, !body.isEmpty else { return body }
        do {
            guard let decoder = try ContentDecoder(headers) else { return body }
            var unpacked: [UInt8] = []
            try body.withUnsafeBytes { bytes in
                try decoder.feed(bytes) { piece in
                    guard unpacked.count + piece.count <= request.bodyBytesMax else {
                        throw HTTPClientError(
                            kind: .bodyTooLarge, subject: request.subject,
                            detail: "more than \(request.bodyBytesMax) bytes once unpacked")
                    }
                    unpacked.append(contentsOf: piece)
                }
            }
            guard decoder.isWhole else { throw ContentFault.damaged(decoder.name) }
            return unpacked
        } catch {
            // What a refusal says beyond its status is of no use to programs: the status must reach them.
            if !(200..<300).contains(status) { return [] }
            if let fault = error as? ContentFault { throw HTTPClientError(fault, subject: request.subject) }
            throw error as? HTTPClientError
                ?? HTTPClientError(kind: .damagedBody, subject: request.subject, detail: "\(error)")
        }
    }

    /// Sends `request` and hands over the reply's body as it comes, for as long as it goes on.
    ///
    /// All closures run on the calling thread. While `onBytes` blocks nothing is read, so the sender is slowed down by
    /// TCP; at most about 2 MB are held in between. What a proxy has packed is unpacked in pieces of at most 128 KiB, each of
    /// which `onBytes` has before the next is made.
    /// - Parameters:
    ///   - connectTimeoutMilliseconds: for name, connection and TLS handshake.
    ///   - stallTimeoutMilliseconds: the longest time without a byte from the server, counted from the connection's
    ///     start; time spent in `onBytes` does not count.
    ///   - shouldStop: asked at least every 200 ms (and after ``wake()``), and before each piece that was unpacked, but not
    ///     while `onBytes` runs.
    ///   - onHead: status and headers, once; false ends the stream as ``StreamEnd/declined``.
    ///   - onBytes: a part of the body, lent for the call.
    /// - Throws: ``HTTPClientError``, or what `onBytes` throws.
    package func stream(
        _ request: HTTPClientRequest, connectTimeoutMilliseconds: Int, stallTimeoutMilliseconds: Int,
        shouldStop: () -> Bool, onHead: (_ status: Int, _ headers: HTTPClientHeaders) -> Bool,
        onBytes: (_ bytes: UnsafeRawBufferPointer) throws -> Void
    ) throws -> StreamEnd {
        let sink = TransferSink(followsRedirects: request.redirectsMax > 0, bodyBytesMax: nil)
        let handle = try takeHandle(request)
        defer { giveBack(handle) }
        try handle.prepare(request, configuration, sink: sink)
        _ = medallion_curl_set_long(handle.easy, CURLOPT_CONNECTTIMEOUT_MS, max(1, connectTimeoutMilliseconds))
        var transfer = Transfer(handle: handle, request: request, sink: sink)
        try transfer.begin()
        defer { transfer.end() }
        var isHeadTold = false
        var decoder: ContentDecoder?
        var bytesSeen = 0
        var lastByte = SystemClock.monotonicNanoseconds()
        // Connecting has a time of its own, in which no byte can come.
        let stallNanoseconds = Int64(stallTimeoutMilliseconds) * 1_000_000
        let headNanoseconds = stallNanoseconds + Int64(connectTimeoutMilliseconds) * 1_000_000
        while true {
            if shouldStop() { return .stopped }
            let isDone: Bool
            var failure: HTTPClientError?
            do throws(HTTPClientError) {
                isDone = try transfer.step()
            } catch {
                // What came before the failure is still the caller's.
                isDone = true
                failure = error
            }
            if !isHeadTold, let head = sink.head {
                isHeadTold = true
                // Of a body that cannot be read nobody is told that it comes; a refusal needs no body.
                if (200..<300).contains(head.status) { decoder = try Self.decoder(head.headers, request) }
                guard onHead(head.status, head.headers) else { return .declined }
                if decoder == nil { decoder = try Self.decoder(head.headers, request) }
            }
            if isHeadTold, !sink.body.isEmpty {
                let body = sink.takeBody()
                let goesOn = try body.withUnsafeBytes { bytes in
                    try Self.hand(bytes, decoder, request, shouldStop, onBytes)
                }
                guard goesOn else { return .stopped }
                sink.reuse(body)
                lastByte = SystemClock.monotonicNanoseconds()
            } else if sink.bytesTotal != bytesSeen {
                lastByte = SystemClock.monotonicNanoseconds()
            }
            bytesSeen = sink.bytesTotal
            if let failure { throw failure }
            if isDone {
                guard isHeadTold else { throw transfer.error(.badReply) }
                if let decoder, !decoder.isWhole {
                    throw transfer.error(.cut, "in the middle of its Content-Encoding: \(decoder.name)")
                }
                return .finished
            }
            let silence = SystemClock.monotonicNanoseconds() - lastByte
            if silence > (bytesSeen == 0 ? headNanoseconds : stallNanoseconds) {
                throw transfer.error(.stall, "no byte for \(silence / 1_000_000) ms")
            }
            transfer.wait(milliseconds: min(Self.pollMillisecondsMax, max(1, Int64(stallTimeoutMilliseconds))))
        }
    }

    private static func decoder(
        _ headers: HTTPClientHeaders, _ request: HTTPClientRequest
    ) throws(HTTPClientError) -> ContentDecoder? {
        guard request.contentCoding == .undone else { return nil }
        do throws(ContentFault) {
            return try ContentDecoder(headers)
        } catch {
            throw HTTPClientError(error, subject: request.subject)
        }
    }

    /// Hands a part of the body on, unpacked.
    ///
    /// - Returns: false where `shouldStop` said so in between.
    private static func hand(
        _ bytes: UnsafeRawBufferPointer, _ decoder: ContentDecoder?, _ request: HTTPClientRequest,
        _ shouldStop: () -> Bool, _ onBytes: (_ bytes: UnsafeRawBufferPointer) throws -> Void
    ) throws -> Bool {
        guard let decoder else {
            try onBytes(bytes)
            return true
        }
        struct Stopped: Error {}
        do {
            try decoder.feed(bytes) { piece in
                if shouldStop() { throw Stopped() }
                try onBytes(piece)
            }
            return true
        } catch is Stopped {
            return false
        } catch let fault as ContentFault {
            throw HTTPClientError(fault, subject: request.subject)
        }
    }

    private func takeHandle(_ request: HTTPClientRequest) throws(HTTPClientError) -> CurlHandle {
        let handle = lock.withLock { _ -> CurlHandle? in
            guard let handle = idleHandles.popLast() ?? CurlHandle() else { return nil }
            activeHandles.append(handle)
            return handle
        }
        guard let handle else {
            let fault = libcurl_fault().map { "\(String(cString: $0)): install libcurl4" }
            throw HTTPClientError(kind: .library, subject: request.subject, detail: fault ?? "no handle: out of memory")
        }
        return handle
    }

    private func giveBack(_ handle: CurlHandle) {
        lock.withLock { _ in
            activeHandles.removeAll { $0 === handle }
            if idleHandles.count < Self.idleHandlesMax { idleHandles.append(handle) }
        }
    }
}

/// One request on its way through a handle.
private struct Transfer {
    let handle: CurlHandle
    let request: HTTPClientRequest
    let sink: TransferSink

    mutating func begin() throws(HTTPClientError) {
        let code = curl_multi_add_handle(handle.multi, handle.easy)
        guard code == CURLM_OK else { throw error(.library, String(cString: curl_multi_strerror(code))) }
    }

    /// Takes the transfer off the handle, closing its connection if it was not over.
    func end() {
        curl_multi_remove_handle(handle.multi, handle.easy)
    }

    /// Does what can be done without waiting.
    /// - Returns: whether the reply is complete.
    func step() throws(HTTPClientError) -> Bool {
        var running: Int32 = 0
        let code = curl_multi_perform(handle.multi, &running)
        guard code == CURLM_OK else { throw error(.library, String(cString: curl_multi_strerror(code))) }
        var isDone: Int32 = 0
        let result = medallion_curl_result(handle.multi, &isDone)
        guard isDone != 0 else { return false }
        if result == CURLE_OK { return true }
        if sink.isTooLarge { throw error(.bodyTooLarge, "more than \(request.bodyBytesMax) bytes") }
        throw error(HTTPClientError.Kind(result), handle.errorText(result))
    }

    /// Until something can be done, the handle is woken, or the time is over.
    func wait(milliseconds: Int64) {
        curl_multi_poll(handle.multi, nil, 0, Int32(milliseconds), nil)
    }

    func error(_ kind: HTTPClientError.Kind, _ detail: String = "") -> HTTPClientError {
        // libcurl's words may repeat what it was asked.
        HTTPClientError(kind: kind, subject: request.subject, detail: SecretURL(request.url).scrubbed(detail))
    }
}

extension HTTPClientRequest {
    /// Method and URL for errors and logs, without what may be secret: user, password, query.
    var subject: String {
        let shown = Redaction.url(url).prefix { $0 != "?" && $0 != "#" }
        return "\(method) \(shown.replacing("://***@", with: "://"))"
    }
}
