/// The head of a source's reply.
package struct SourceHead: Sendable {
    package var status: Int
    /// Without parameters, lower case; empty where there is none.
    package var contentType: String
    /// The header Retry-After as sent.
    package var retryAfter: String?
    /// What the body is packed in on its way, and unpacked by the source; empty for nothing.
    package var contentEncoding: String

    package init(status: Int, contentType: String, retryAfter: String? = nil, contentEncoding: String = "") {
        self.status = status
        self.contentType = contentType
        self.retryAfter = retryAfter
        self.contentEncoding = contentEncoding
    }
}

/// A connection to the source that ended in a fault.
package struct SourceError: Error, CustomStringConvertible {
    package var cause: ReconnectCause
    /// What happened, in words.
    package var message: String

    package init(cause: ReconnectCause, message: String) {
        self.cause = cause
        self.message = message
    }

    package var description: String { message }
}

/// Where an event stream comes from; over HTTP, or scripted in a test.
package protocol EventSource: Sendable {
    /// Connects and hands over the reply's bytes until the stream ends. Blocks; called from a lane.
    ///
    /// - Parameters:
    ///   - lastEventID: sent as `Last-Event-ID` unless empty.
    ///   - shouldStop: asked at least once a second; true ends the call without a fault.
    ///   - onHead: false ends the call without a fault.
    ///   - onBytes: may block, and then nothing is read meanwhile.
    /// - Throws: ``SourceError``, or what `onBytes` throws. Returns when the server ended the stream.
    func stream(
        lastEventID: [UInt8], shouldStop: () -> Bool, onHead: (SourceHead) -> Bool,
        onBytes: (UnsafeRawBufferPointer) throws -> Void
    ) throws
}
