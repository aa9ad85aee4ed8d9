import Glibc
import HTTPServer

/// Server-sent events as they go out (WHATWG HTML, section 9.2.5).
enum EventFrame {
    /// Of every stream of events. No buffering by a proxy (nginx reads `X-Accel-Buffering`).
    static let headers: HTTPHeaders = [
        "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
    ]

    /// A comment, which keeps proxies and clients from giving the connection up.
    static let heartbeat = Array(": heartbeat\n\n".utf8)

    /// What a frame ends with.
    static let end: [UInt8] = [newline]

    /// The line with an id, which must be one line.
    static func idLine(_ id: String) -> [UInt8] {
        var bytes = Array("id: ".utf8)
        bytes.append(contentsOf: id.utf8)
        bytes.append(newline)
        return bytes
    }

    /// A frame without id.
    ///
    /// - Parameter data: mostly one line, as JSON from a `JSONWriter` is. What others wrote may have line ends between its
    ///   values; each of its lines gets a field of its own, so that no frame begins inside, and what a client puts together
    ///   is the same JSON.
    static func bytes(event: String, data: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + event.utf8.count + 32)
        bytes.append(contentsOf: "event: ".utf8)
        bytes.append(contentsOf: event.utf8)
        bytes.append(contentsOf: "\ndata: ".utf8)
        if hasLineEnd(data) {
            appendLines(data, to: &bytes)
        } else {
            bytes.append(contentsOf: data)
        }
        bytes.append(contentsOf: "\n\n".utf8)
        return bytes
    }

    private static let newline: UInt8 = 0x0A
    private static let carriageReturn: UInt8 = 0x0D

    private static func hasLineEnd(_ data: [UInt8]) -> Bool {
        data.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return false }
            return memchr(start, Int32(newline), buffer.count) != nil
                || memchr(start, Int32(carriageReturn), buffer.count) != nil
        }
    }

    /// A line ends with LF, CR, or CR and LF.
    private static func appendLines(_ data: [UInt8], to bytes: inout [UInt8]) {
        var last: UInt8 = 0
        for byte in data {
            if byte == newline, last == carriageReturn {
                last = byte
                continue
            }
            if byte == newline || byte == carriageReturn {
                bytes.append(contentsOf: "\ndata: ".utf8)
            } else {
                bytes.append(byte)
            }
            last = byte
        }
    }
}
