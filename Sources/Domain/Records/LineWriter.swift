import Bytes

/// Writes JSON members in a fixed order into room that was reserved for a whole line: the hot path of every line.
///
/// One look at the capacity for a line instead of one for each member. Whoever reserves says how much at most; a write
/// past that is caught before it is done. A text takes ``JSONText/bytesPerByteMax`` of room for each of its bytes.
package struct LineWriter {
    private let start: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>
    private var next: UnsafeMutablePointer<UInt8>

    fileprivate init(_ room: UnsafeMutableBufferPointer<UInt8>, at start: UnsafeMutablePointer<UInt8>) {
        self.start = start
        end = start + room.count
        next = start
    }

    /// Bytes written so far.
    package var count: Int { next - start }

    /// What was written so far, lent until the next write.
    package var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// Takes back the last byte.
    package mutating func removeLast() {
        precondition(next > start, "nothing was written yet")
        next -= 1
    }

    /// Writes text of the program's own.
    package mutating func literal(_ text: StaticString) {
        bytes(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes bytes as they are.
    package mutating func bytes(_ source: UnsafeRawBufferPointer) {
        guard let address = source.baseAddress else { return }
        let room = room(source.count)
        UnsafeMutableRawPointer(room).copyMemory(from: address, byteCount: source.count)
        next = room + source.count
    }

    /// Writes `prefix` and bytes as they are.
    package mutating func bytes(_ prefix: StaticString, _ source: UnsafeRawBufferPointer) {
        literal(prefix)
        bytes(source)
    }

    /// Writes bytes as they are.
    package mutating func bytes(_ source: [UInt8]) {
        source.withUnsafeBytes { bytes($0) }
    }

    /// Writes `prefix` (such as `,"title":`) and the string, escaped and in quotes.
    ///
    /// - Returns: where the string stands with its quotes, counted from the line's start.
    @discardableResult
    package mutating func string(_ prefix: StaticString, _ text: UnsafeBufferPointer<UInt8>) -> Range<Int> {
        literal(prefix)
        let begin = count
        let room = room(JSONText.bytesPerByteMax * text.count + 2)
        next = room + JSONText.writeQuoted(text, to: room)
        return begin..<count
    }

    /// Writes `prefix` and the UTF-8, escaped and in quotes.
    package mutating func string(_ prefix: StaticString, _ text: [UInt8]) {
        _ = text.withUnsafeBufferPointer { string(prefix, $0) }
    }

    /// Writes `prefix` and the string, escaped and in quotes.
    package mutating func string(_ prefix: StaticString, _ text: String) {
        let isWritten: Void? = text.utf8.withContiguousStorageIfAvailable { _ = string(prefix, $0) }
        if isWritten == nil { string(prefix, Array(text.utf8)) }
    }

    /// Writes `prefix` and the number.
    package mutating func integer(_ prefix: StaticString, _ value: Int64) {
        literal(prefix)
        let room = room(Decimal.digitsMax)
        next = room + Decimal.write(value, to: room)
    }

    /// Writes `prefix` and the number, or `null`.
    package mutating func integerOrNull(_ prefix: StaticString, _ value: Int64?) {
        if let value {
            integer(prefix, value)
        } else {
            literal(prefix)
            literal("null")
        }
    }

    /// Writes `prefix` and `true` or `false`.
    package mutating func bool(_ prefix: StaticString, _ value: Bool) {
        literal(prefix)
        literal(value ? "true" : "false")
    }

    /// Writes `prefix` and an RFC 3339 time in quotes.
    ///
    /// - Returns: where the time stands with its quotes, counted from the line's start.
    @discardableResult
    package mutating func time(_ prefix: StaticString, _ epochMilliseconds: Int64) -> Range<Int> {
        literal(prefix)
        let begin = count
        let room = room(CivilTime.rfc3339Count + 2)
        room[0] = UInt8(ascii: "\"")
        CivilTime.writeRFC3339(epochMilliseconds, to: room + 1)
        room[CivilTime.rfc3339Count + 1] = UInt8(ascii: "\"")
        next = room + CivilTime.rfc3339Count + 2
        return begin..<count
    }

    /// Writes the bytes in base64, without quotes.
    package mutating func base64(_ source: UnsafeRawBufferPointer) {
        let room = room(Base64.count(source.count))
        next = room + Base64.write(source, to: room)
    }

    /// Where to write next.
    private func room(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        precondition(end - next >= count, "a line is longer than the room that was reserved for it")
        return next
    }
}

extension [UInt8] {
    /// Appends what `body` writes.
    ///
    /// - Parameter countMax: how much room `body` gets.
    @inline(__always)
    package mutating func appendLine<Failure: Error>(
        upTo countMax: Int, _ body: (inout LineWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try append(addingCapacity: countMax) { span throws(Failure) in
            try span.withUnsafeMutableBufferPointer { buffer, count throws(Failure) in
                guard let start = buffer.baseAddress else { return }
                var writer = LineWriter(buffer, at: start)
                try body(&writer)
                count = writer.count
            }
        }
    }
}
