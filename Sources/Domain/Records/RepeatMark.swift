import Bytes

/// The header of a record that may be a copy of an earlier one, however long ago that was sent.
///
/// A producer that resumes after an interruption goes back a little and sends some events again. It marks them, since the
/// interruption may be longer than the duplicate window's bound in time. Headers are part of a Bronze line, so what
/// follows from the mark stays a function of Bronze. Anybody can send the header: all it does is to widen the search for
/// an earlier record with the same event id to the window's bound in offsets.
package enum RepeatMark {
    /// The header's name. Any value counts; a header without a value does not.
    package static let header = "may_repeat"
    /// What the producer sends as its value.
    package static let value: [UInt8] = [UInt8(ascii: "1")]
    static let headerBytes = Array(header.utf8)
}

/// The header that says when the platform had a record, by the clock of the process that took it: decimal milliseconds since
/// 1970. Anybody can send it: it only tells how long the record was on its way.
package enum IngestTimeHeader {
    /// The header's name.
    package static let header = "ingest_time_ms"
    static let headerBytes = Array(header.utf8)
}

/// The header that holds the id which a connector gave to an event, for events that have none of their own.
///
/// The same event sent again has the same id, so that the duplicate window finds the copy. Anybody can send the header:
/// all it does is to name what counts as a copy.
package enum EventIDHeader {
    /// The header's name. Its value is UTF-8; a header without a value does not count.
    package static let header = "event_id"
    /// A longer id does not count, so that a stranger's header cannot make a line grow.
    package static let bytesMax = 255
    static let headerBytes = Array(header.utf8)

    /// Whether a value counts.
    static func accepts(_ value: UnsafeRawBufferPointer) -> Bool { value.count <= bytesMax && UTF8Text.isValid(value) }
}
