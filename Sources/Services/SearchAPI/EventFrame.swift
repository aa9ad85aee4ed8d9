import HTTPServer

/// Server-sent events as they go out (WHATWG HTML, section 9.2.5).
enum EventFrame {
    /// Of every stream of events. No buffering by a proxy (nginx reads `X-Accel-Buffering`).
    static let headers: HTTPHeaders = [
        "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
    ]

    /// A comment, which keeps proxies and clients from giving the connection up.
    static let heartbeat = Array(": heartbeat\n\n".utf8)

    /// - Parameter data: one line, as JSON from a `JSONWriter` is.
    static func bytes(event: String, data: [UInt8], id: String? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 64)
        if let id {
            bytes.append(contentsOf: "id: ".utf8)
            bytes.append(contentsOf: id.utf8)
            bytes.append(0x0A)
        }
        bytes.append(contentsOf: "event: ".utf8)
        bytes.append(contentsOf: event.utf8)
        bytes.append(contentsOf: "\ndata: ".utf8)
        bytes.append(contentsOf: data)
        bytes.append(contentsOf: "\n\n".utf8)
        return bytes
    }
}
