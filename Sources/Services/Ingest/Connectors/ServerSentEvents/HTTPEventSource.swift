import HTTPClient

/// An event stream over HTTP.
package struct HTTPEventSource: EventSource {
    private let configuration: ProducerConfiguration
    private let client: HTTPClient

    package init(_ configuration: ProducerConfiguration) {
        self.configuration = configuration
        client = HTTPClient(HTTPClientConfiguration(userAgent: configuration.userAgent))
    }

    /// See ``EventSource/stream(lastEventID:shouldStop:onHead:onBytes:)``. Redirects are followed, five at most. The body is
    /// asked for as it is; what a proxy packs all the same is unpacked, or refused by name.
    package func stream(
        lastEventID: [UInt8], shouldStop: () -> Bool, onHead: (SourceHead) -> Bool,
        onBytes: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var request = HTTPClientRequest(url: configuration.url.revealed)
        request.headers = [("Accept", "text/event-stream"), ("Cache-Control", "no-store")]
        if !lastEventID.isEmpty {
            request.headers.append(("Last-Event-ID", String(decoding: lastEventID, as: UTF8.self)))
        }
        request.redirectsMax = 5
        do {
            _ = try client.stream(
                request, connectTimeoutMilliseconds: configuration.timeoutMilliseconds,
                stallTimeoutMilliseconds: configuration.timeoutMilliseconds, shouldStop: shouldStop,
                onHead: { status, headers in onHead(Self.head(status, headers)) }, onBytes: onBytes)
        } catch let error as HTTPClientError {
            throw SourceError(cause: Self.cause(of: error.kind), message: configuration.url.scrubbed(error.description))
        }
    }

    private static func head(_ status: Int, _ headers: HTTPClientHeaders) -> SourceHead {
        let type = (headers["Content-Type"] ?? "").prefix { $0 != ";" }
        return SourceHead(
            status: status, contentType: type.filter { $0 != " " }.lowercased(), retryAfter: headers["Retry-After"],
            contentEncoding: headers.contentEncodings.joined(separator: ", "))
    }

    private static func cause(of kind: HTTPClientError.Kind) -> ReconnectCause {
        switch kind {
        case .stall, .timeout: .stalled
        case .invalidRequest: .notAStream
        case .contentEncoding: .contentEncoding
        case .dns, .connect, .tls, .cut, .badReply, .damagedBody, .bodyTooLarge, .stopped, .http, .library: .connection
        }
    }
}
