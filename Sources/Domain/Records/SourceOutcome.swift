import Bytes

/// What became of a request to a source, as the process says that heeds it. One record of the topic of requests.
package struct SourceOutcome: Sendable, Equatable {
    /// How a request ends, or stands.
    package enum State: String, Sendable, CaseIterable {
        /// It is heeded: the source stands still, runs again, or its table is being read.
        case taken
        /// The table was read to the end of what was asked for.
        case complete
        /// It cannot be done.
        case refused
        /// Nobody wants it any more.
        case givenUp = "given_up"

        /// Whether nothing comes after it.
        package var isEnd: Bool { self != .taken }
    }

    /// The request's id.
    package var request: String
    /// The source's name.
    package var source: String
    package var state: State
    /// Why, or what to know of it; empty for nothing.
    package var reason: String
    /// Milliseconds since 1970.
    package var atMilliseconds: Int64

    package init(request: String, source: String, state: State, reason: String = "", atMilliseconds: Int64) {
        self.request = request
        self.source = source
        self.state = state
        self.reason = reason
        self.atMilliseconds = atMilliseconds
    }

    /// The same outcome of a request has the same id in every process.
    package var id: String { "\(request)/\(state.rawValue)" }

    /// One JSON object. A reason that is longer than a record takes is cut.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("outcome", state.rawValue)
        json.string("request", request)
        json.string("source", source)
        json.string("reason", Self.cut(reason))
        json.integer("at_ms", atMilliseconds)
        json.endObject()
        return json.bytes
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > SourceRequest.textBytesMax else { return text }
        var (cut, bytes) = ("", 0)
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= SourceRequest.textBytesMax else { break }
            cut.unicodeScalars.append(scalar)
        }
        return cut
    }

    /// Reads one record; members that it does not know are passed over.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) {
        let (texts, at) = try SourceRequest.members(of: bytes)
        guard let request = texts["request"], !request.isEmpty, let source = texts["source"], !source.isEmpty, let at
        else {
            throw RecordFormatError("source outcome", field: "request", reason: "request, source or at_ms is missing")
        }
        guard let state = texts["outcome"].flatMap(State.init(rawValue:)) else {
            throw RecordFormatError(
                "source outcome", field: "outcome",
                reason: "is none of \(State.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.init(
            request: request, source: source, state: state, reason: texts["reason"] ?? "", atMilliseconds: at)
    }
}

/// One record of the topic of requests to sources.
package enum SourceRequestEntry: Sendable, Equatable {
    case request(SourceRequest)
    case outcome(SourceOutcome)

    /// The same for the same record, however often it is handed over.
    package var id: String {
        switch self {
        case .request(let request): request.id
        case .outcome(let outcome): outcome.id
        }
    }

    /// The source's name.
    package var source: String {
        switch self {
        case .request(let request): request.source
        case .outcome(let outcome): outcome.source
        }
    }

    /// One JSON object.
    package var json: [UInt8] {
        switch self {
        case .request(let request): request.json
        case .outcome(let outcome): outcome.json
        }
    }

    /// Reads one record.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) {
        let isOutcome = try SourceRequest.members(of: bytes).texts["outcome"] != nil
        self = isOutcome ? .outcome(try SourceOutcome(bytes)) : .request(try SourceRequest(bytes))
    }
}
