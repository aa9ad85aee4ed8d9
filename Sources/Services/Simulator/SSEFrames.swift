/// Finds the events in the bytes of a recorded stream.
///
/// Grammar: WHATWG HTML, 9.2.6 "Interpreting an event stream", on bytes. Only what a recording needs: the data of every
/// dispatched event, and where the last one ended.
enum SSEFrames {
    /// Calls `body` with each event's data (lines joined by newlines) and returns how many bytes whole events cover.
    static func forEach(in bytes: UnsafeRawBufferPointer, _ body: (ArraySlice<UInt8>) -> Void) -> Int {
        var data: [UInt8] = []
        var hasData = false
        var covered = 0
        var lineStart = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        var position = lineStart
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x0A || byte == 0x0D else {
                position += 1
                continue
            }
            let line = UnsafeRawBufferPointer(rebasing: bytes[lineStart..<position])
            position += byte == 0x0D && position + 1 < bytes.count && bytes[position + 1] == 0x0A ? 2 : 1
            lineStart = position
            if line.isEmpty {
                if hasData { body(data[...]) }
                data.removeAll(keepingCapacity: true)
                hasData = false
                covered = position
            } else if line.starts(with: "data".utf8), line.count == 4 || line[4] == UInt8(ascii: ":") {
                if hasData { data.append(0x0A) }
                let value = line.dropFirst(5)
                data.append(contentsOf: value.first == 0x20 ? value.dropFirst() : value)
                hasData = true
            } else if line.first == UInt8(ascii: ":"), !hasData {
                covered = position  // A comment between events belongs to no frame.
            }
        }
        return covered
    }

    /// Appends one event. Line ends inside `payload` start new data lines, since SSE has no way to carry them otherwise.
    static func append(id: (inout [UInt8]) -> Void, payload: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: eventLine)
        id(&bytes)
        bytes.append(contentsOf: dataField)
        let needsSplit = payload.withUnsafeBytes { payload in
            memchr(payload, 0x0A) || memchr(payload, 0x0D)
        }
        if needsSplit {
            for byte in payload {
                if byte == 0x0A || byte == 0x0D { bytes.append(contentsOf: dataField) } else { bytes.append(byte) }
            }
        } else {
            bytes.append(contentsOf: payload)
        }
        bytes.append(0x0A)
        bytes.append(0x0A)
    }

    private static let eventLine = Array("event: message\nid: ".utf8)
    private static let dataField = Array("\ndata: ".utf8)
}
