import Bytes
package import Concurrency
package import HTTPEndpoints
import HTTPServer

/// What is said when a request is not served; the endpoints' one JSON shape.
package typealias APIError = EndpointError

extension EndpointError {
    /// Something the request needs cannot be reached now.
    package static func unavailable(_ what: String, _ why: String) -> APIError {
        APIError(
            status: 503, type: "unavailable", message: "\(what) is not available: \(why)",
            headers: ["Retry-After": "1"])
    }

    /// The generation that a request reads is not served: the one of its cursor, or the active one where it has none.
    static func notServed(generation: Int64?) -> APIError {
        guard let generation else { return .unavailable("the index", "it has no active generation") }
        return APIError(
            status: 410, type: "generation_gone",
            message: "the cursor belongs to generation \(generation), which is not served; begin again without it")
    }

    /// The generation that a comparison reads, which need not be promoted, cannot be read; nil for the active one.
    static func notServed(candidate: Int64?) -> APIError {
        guard let candidate else { return notServed(generation: nil) }
        return APIError(
            status: 409, type: "generation_state",
            message: "generation \(candidate) cannot be searched: it is not complete, was pruned, or never was")
    }

    /// The time limit of the request passed.
    package static func timeout(_ what: String, milliseconds: Int) -> APIError {
        APIError(
            status: 504, type: "timeout",
            message: "\(what) took longer than the \(milliseconds) ms that a request may take (REQUEST_TIMEOUT_SEC)")
    }
}

extension EndpointError {
    /// What did not get its turn or took too long, as a client is told.
    package init(_ error: WaitError) {
        switch error {
        case .unavailable(let what, let why): self = .unavailable(what, why)
        case .timeout(let what, let milliseconds): self = .timeout(what, milliseconds: milliseconds)
        }
    }
}

extension HTTPResponse {
    /// A JSON reply that is never cached: what the index says now is not what it says next.
    static func fresh(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: ["Content-Type": "application/json", "Cache-Control": "no-store"], body: body)
    }
}

extension JSONWriter {
    /// A time as RFC 3339 or null.
    mutating func time(_ epochMilliseconds: Int64?) {
        if let epochMilliseconds { string(CivilTime.rfc3339(epochMilliseconds)) } else { null() }
    }

    /// A text or null.
    mutating func optional(_ text: String?) {
        if let text { string(text) } else { null() }
    }

    /// A number or null.
    mutating func optional(_ number: Double?) {
        if let number { double(number) } else { null() }
    }

    /// An integer or null.
    mutating func optional(_ number: Int64?) {
        if let number { integer(number) } else { null() }
    }

    /// Milliseconds with three decimals.
    mutating func milliseconds(nanoseconds: Int64) {
        double(Double(nanoseconds / 1_000) / 1_000)
    }
}
