import Glibc

/// One event of an event stream. Its buffers are valid only inside the closure that receives it.
package struct ServerSentEvent {
    /// The `data:` lines joined by line feeds, byte for byte as sent.
    package let data: UnsafeRawBufferPointer
    /// The `event:` field; empty stands for `message`.
    package let type: UnsafeRawBufferPointer
    /// The last event id as of this event: its own or an earlier one's.
    package let id: [UInt8]
    /// Whether the event brought the id itself.
    package let hasOwnID: Bool
}

/// Parses `text/event-stream` bytes as they arrive, cut anywhere.
///
/// Grammar: WHATWG HTML, section 9.2.6 "Interpreting an event stream", with one deviation: bytes are not decoded as
/// UTF-8, so that broken text reaches the topic as it was sent. Memory is bounded by `eventBytesMax` plus `idBytesMax`:
/// a larger event is left out and counted, a larger id is ignored like one with a NULL.
package struct EventStreamParser {
    /// The largest event that is handed over, in bytes of its data.
    package let eventBytesMax: Int
    /// The largest id that is kept, in bytes.
    package static let idBytesMax = 16_384

    /// The id to send as `Last-Event-ID`, as of the last complete event; empty where there is none.
    package private(set) var lastEventID: [UInt8] = []
    /// The server's wish for the wait before a reconnect, in milliseconds.
    package private(set) var retryMilliseconds: Int?
    /// Events that were left out because they were too large.
    package private(set) var oversizedCount = 0
    /// Comment lines, which servers send to keep a connection alive.
    package private(set) var commentCount = 0

    private var data: [UInt8] = []
    private var hasData = false
    private var type: [UInt8] = []
    private var pendingID: [UInt8] = []
    /// The event that is coming has brought it.
    private var hasOwnID = false
    /// The beginning of a line whose end has not come yet.
    private var partial: [UInt8] = []
    /// The line that is coming is too long; only its end is of interest.
    private var isLineCut = false
    /// The event that is coming is too large and will not be handed over.
    private var isEventCut = false
    /// The last byte was a CR, so that a LF now belongs to it.
    private var skipsLineFeed = false
    /// Bytes of the byte order mark that were seen at the stream's start; nil when the start is behind.
    private var markCount: Int? = 0

    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// - Parameter lastEventID: the id of an earlier connection, to start from.
    package init(eventBytesMax: Int = 4_000_000, lastEventID: [UInt8] = []) {
        self.eventBytesMax = eventBytesMax
        self.lastEventID = lastEventID
        pendingID = lastEventID
    }

    /// Gets ready for a new connection: what is incomplete is forgotten, the last event id stays.
    package mutating func reset() {
        self = EventStreamParser(copying: self)
    }

    private init(copying other: EventStreamParser) {
        self.init(eventBytesMax: other.eventBytesMax, lastEventID: other.lastEventID)
        retryMilliseconds = other.retryMilliseconds
        oversizedCount = other.oversizedCount
        commentCount = other.commentCount
    }

    /// Takes the next bytes and hands every event that they complete to `body`.
    ///
    /// When `body` throws, the rest of the bytes is lost: the connection has to be given up and ``reset()`` called.
    package mutating func push(
        _ bytes: UnsafeRawBufferPointer, _ body: (ServerSentEvent) throws -> Void
    ) rethrows {
        var position = skipMark(bytes)
        guard let start = bytes.baseAddress else { return }
        if skipsLineFeed && position < bytes.count {
            skipsLineFeed = false
            if bytes[position] == Byte.lineFeed { position += 1 }
        }
        // The next LF, found once however many CRs come before it.
        var lineFeed = -1
        while position < bytes.count {
            let rest = bytes.count - position
            if lineFeed < position {
                lineFeed =
                    memchr(start + position, Int32(Byte.lineFeed), rest).map { start.distance(to: $0) } ?? bytes.count
            }
            let carriageReturn = memchr(start + position, Int32(Byte.carriageReturn), lineFeed - position)
            let end = carriageReturn.map { start.distance(to: UnsafeRawPointer($0)) } ?? lineFeed
            guard end < bytes.count else {
                keep(UnsafeRawBufferPointer(start: start + position, count: rest))
                return
            }
            let line = UnsafeRawBufferPointer(start: start + position, count: end - position)
            position = end + 1
            if carriageReturn != nil {
                if position == bytes.count {
                    skipsLineFeed = true
                } else if bytes[position] == Byte.lineFeed {
                    position += 1
                }
            }
            try finish(line, body)
        }
    }

    /// The number of bytes at the start that belong to the byte order mark.
    private mutating func skipMark(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard var seen = markCount else { return 0 }
        var position = 0
        while position < bytes.count && seen < Self.mark.count {
            guard bytes[position] == Self.mark[seen] else {
                // Not a mark after all: what looked like its beginning is text.
                if seen > position { partial.append(contentsOf: Self.mark[0..<seen - position]) }
                markCount = nil
                return 0
            }
            position += 1
            seen += 1
        }
        markCount = seen < Self.mark.count ? seen : nil
        return position
    }

    /// Keeps the beginning of a line for the next bytes.
    private mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        if isLineCut { return }
        // The longest field name and the blank count too.
        guard partial.count + bytes.count <= eventBytesMax + 16 else {
            isLineCut = true
            partial.removeAll(keepingCapacity: false)
            return
        }
        partial.append(contentsOf: bytes)
    }

    private mutating func finish(
        _ end: UnsafeRawBufferPointer, _ body: (ServerSentEvent) throws -> Void
    ) rethrows {
        if partial.isEmpty && !isLineCut { return try process(end, body) }
        keep(end)
        if isLineCut {
            isLineCut = false
            isEventCut = true
            data.removeAll(keepingCapacity: false)
            return
        }
        var line: [UInt8] = []
        swap(&line, &partial)
        try line.withUnsafeBytes { buffer in try process(buffer, body) }
        line.removeAll(keepingCapacity: line.capacity <= 65_536)
        swap(&line, &partial)
    }

    private mutating func process(
        _ line: UnsafeRawBufferPointer, _ body: (ServerSentEvent) throws -> Void
    ) rethrows {
        guard let start = line.baseAddress, !line.isEmpty else { return try dispatch(body) }
        guard let colon = memchr(start, Int32(Byte.colon), line.count).map({ start.distance(to: UnsafeRawPointer($0)) })
        else { return field(line, UnsafeRawBufferPointer(start: start, count: 0)) }
        if colon == 0 {
            commentCount += 1
            return
        }
        var value = colon + 1
        if value < line.count && line[value] == Byte.space { value += 1 }
        field(
            UnsafeRawBufferPointer(rebasing: line[0..<colon]), UnsafeRawBufferPointer(rebasing: line[value...]))
    }

    private mutating func field(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if name.elementsEqual("data".utf8) {
            if isEventCut { return }
            guard data.count + value.count <= eventBytesMax else {
                isEventCut = true
                data.removeAll(keepingCapacity: false)
                return
            }
            if hasData { data.append(Byte.lineFeed) }
            hasData = true
            data.append(contentsOf: value)
        } else if name.elementsEqual("event".utf8) {
            type.removeAll(keepingCapacity: true)
            if value.count <= Self.idBytesMax { type.append(contentsOf: value) }
        } else if name.elementsEqual("id".utf8) {
            guard value.count <= Self.idBytesMax, !value.contains(0) else { return }
            if !pendingID.elementsEqual(value) { pendingID = Array(value) }
            hasOwnID = !value.isEmpty
        } else if name.elementsEqual("retry".utf8) {
            guard !value.isEmpty, value.count <= 9, value.allSatisfy({ (0x30...0x39).contains($0) }) else { return }
            retryMilliseconds = value.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
    }

    private mutating func dispatch(_ body: (ServerSentEvent) throws -> Void) rethrows {
        lastEventID = pendingID
        if isEventCut {
            isEventCut = false
            oversizedCount += 1
        } else if hasData {
            try data.withUnsafeBytes { data in
                try type.withUnsafeBytes { type in
                    try body(ServerSentEvent(data: data, type: type, id: lastEventID, hasOwnID: hasOwnID))
                }
            }
        }
        hasData = false
        hasOwnID = false
        data.removeAll(keepingCapacity: data.capacity <= 65_536)
        type.removeAll(keepingCapacity: true)
    }

    private enum Byte {
        static let lineFeed: UInt8 = 0x0A
        static let carriageReturn: UInt8 = 0x0D
        static let colon: UInt8 = 0x3A
        static let space: UInt8 = 0x20
    }
}
