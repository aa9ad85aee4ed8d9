import Bytes

/// The headers of a record as the JSON array of its Bronze line. Filled again and again, it keeps its storage.
package struct RecordHeaderText: Sendable {
    /// `[["name","base64"],["other",null]]`
    package private(set) var json = Self.empty
    private static let empty = Array("[]".utf8)
    private var originText: [UInt8] = []
    private var originSHA256: [UInt8] = []
    /// The id that a connector gave to the event; empty where it gave none. See ``EventIDHeader``.
    package private(set) var eventID: [UInt8] = []
    /// Whether the producer says that the record may be a copy of an earlier one; see ``RepeatMark``.
    package private(set) var mayRepeat = false
    private var ingestMilliseconds: Int64?
    /// When the platform had the record, in milliseconds since 1970; nil where no header says so, and of a redriven record, whose
    /// header is of the first time. See ``IngestTimeHeader``.
    package var receivedMilliseconds: Int64? { originText.isEmpty ? ingestMilliseconds : nil }

    package init() {}

    /// Where the record was redriven from; nil for the ordinary record, at the price of one comparison.
    package var origin: RedriveOrigin? {
        originText.isEmpty ? nil : RedriveOrigin(text: originText, sha256: originSHA256)
    }

    /// Forgets the headers and keeps the storage.
    package mutating func removeAll() {
        json.removeAll(keepingCapacity: true)
        json.append(contentsOf: Self.empty)
        if !originText.isEmpty { originText.removeAll(keepingCapacity: true) }
        if !originSHA256.isEmpty { originSHA256.removeAll(keepingCapacity: true) }
        if !eventID.isEmpty { eventID.removeAll(keepingCapacity: true) }
        mayRepeat = false
        ingestMilliseconds = nil
    }

    /// Adds one header behind the others; a value may be null. A name that is not valid UTF-8 is repaired.
    package mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) {
        guard UTF8Text.isValid(UnsafeRawBufferPointer(name)) else {
            let repaired = Array(String(decoding: name, as: UTF8.self).utf8)
            return repaired.withUnsafeBufferPointer { add(validName: $0, value) }
        }
        add(validName: name, value)
        if let value { note(name, value) }
    }

    private mutating func add(validName name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) {
        json.removeLast()
        let isFirst = json.count == 1
        let room = JSONText.bytesPerByteMax * name.count + Base64.count(value?.count ?? 0) + 16
        json.appendLine(upTo: room) { writer in
            writer.string(isFirst ? "[" : ",[", name)
            if let value {
                writer.literal(",\"")
                writer.base64(value)
                writer.literal("\"]]")
            } else {
                writer.literal(",null]]")
            }
        }
    }

    /// A later header of the same name wins.
    private mutating func note(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer) {
        if name.count == RedriveOrigin.headerBytes.count, name.elementsEqual(RedriveOrigin.headerBytes) {
            originText = Array(value)
        } else if name.count == RedriveOrigin.hashHeaderBytes.count, name.elementsEqual(RedriveOrigin.hashHeaderBytes) {
            originSHA256 = Array(value)
        } else if name.count == RepeatMark.headerBytes.count, name.elementsEqual(RepeatMark.headerBytes) {
            mayRepeat = true
        } else if name.count == EventIDHeader.headerBytes.count, name.elementsEqual(EventIDHeader.headerBytes) {
            eventID = EventIDHeader.accepts(value) ? Array(value) : []
        } else if name.count == IngestTimeHeader.headerBytes.count, name.elementsEqual(IngestTimeHeader.headerBytes) {
            ingestMilliseconds = DecimalText.integer(value)
        }
    }
}
