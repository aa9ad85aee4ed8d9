import Bytes
import HTTPClient

/// Asks a stream for its first bytes.
struct LiveProbe: Sendable {
    let url: SecretURL
    let userAgent: String
    /// How long the first byte may take, the connection included.
    static let timeoutMilliseconds = 6_000

    /// Why the stream cannot be used; nil when it sent something. Blocks for at most the limit.
    func refusal() -> LiveRefusal? {
        let client = HTTPClient(HTTPClientConfiguration(userAgent: userAgent))
        let deadline = SystemClock.monotonicNanoseconds() + Int64(Self.timeoutMilliseconds) * 1_000_000
        var refusal: LiveRefusal?
        var hasBytes = false
        do {
            _ = try client.stream(
                HTTPClientRequest(url: url.revealed, headers: [("Accept", "text/event-stream")]),
                connectTimeoutMilliseconds: Self.timeoutMilliseconds,
                stallTimeoutMilliseconds: Self.timeoutMilliseconds,
                // A server that sends its head byte by byte never stalls.
                shouldStop: { hasBytes || SystemClock.monotonicNanoseconds() >= deadline },
                onHead: { status, headers in
                    refusal = Self.refusal(of: status, headers, userAgent: userAgent)
                    return refusal == nil
                },
                onBytes: { bytes in hasBytes = hasBytes || !bytes.isEmpty })
        } catch let error as HTTPClientError {
            if !hasBytes { return LiveRefusal(error, scrubbedBy: url) }
        } catch {
            if !hasBytes { return .failure(url.scrubbed("\(error)")) }
        }
        if let refusal { return refusal }
        if hasBytes { return nil }
        return SystemClock.monotonicNanoseconds() >= deadline ? .timeLimit : .nothing
    }

    private static func refusal(of status: Int, _ headers: HTTPClientHeaders, userAgent: String) -> LiveRefusal? {
        guard status == 200 else {
            return .status(status, retryAfterSeconds: headers.retryAfterSeconds, userAgent: userAgent)
        }
        let type = headers["Content-Type"] ?? "no Content-Type"
        return type.lowercased().hasPrefix("text/event-stream") ? nil : .notAStream(type)
    }
}

/// Why the live stream is not used, and the one command that helps.
enum LiveRefusal: Sendable, Equatable, CustomStringConvertible {
    case status(Int, retryAfterSeconds: Int?, userAgent: String)
    /// Another content than an event stream, such as the page of a network that wants a login.
    case notAStream(String)
    /// The host's name has no address.
    case noAddress(String)
    case noConnection(String)
    case noTLS(String)
    /// Neither connected nor sent a byte in time.
    case timeLimit
    /// Ended without a byte.
    case nothing
    case failure(String)

    /// - Parameter url: what was asked, of which the error may hold a part.
    init(_ error: HTTPClientError, scrubbedBy url: SecretURL) {
        let detail = url.scrubbed(error.detail)
        switch error.kind {
        case .dns: self = .noAddress(detail)
        case .connect: self = .noConnection(detail)
        case .tls: self = .noTLS(detail)
        case .timeout, .stall: self = .timeLimit
        case .cut: self = .nothing
        default: self = .failure(url.scrubbed("\(error)"))
        }
    }

    /// Goes on from “the live stream …”.
    var description: String {
        switch self {
        case .status(let status, _, let userAgent) where status == 401 || status == 403:
            "refuses the User-Agent “\(userAgent)” (\(status))"
        case .status(429, let seconds, _):
            "asks for fewer connections (429)" + (seconds.map { ", and to wait for \($0) s" } ?? "")
        case .status(let status, _, _): "answers with status \(status)"
        case .notAStream(let type): "answers with something else (\(type))"
        case .noAddress(let detail): "cannot be found: no network, or no name server (\(detail))"
        case .noConnection(let detail): "cannot be reached: no network, or a firewall (\(detail))"
        case .noTLS(let detail): "cannot be trusted: TLS failed (\(detail))"
        case .timeLimit: "did not answer within \(LiveProbe.timeoutMilliseconds / 1_000) s"
        case .nothing: "ended without sending anything"
        case .failure(let detail): "cannot be read: \(detail)"
        }
    }

    /// What to type, and what that does.
    var remedy: String {
        switch self {
        case .status(let status, _, _) where status == 401 || status == 403:
            "WIKIMEDIA_USER_AGENT='your-project/1.0 (you@example.org)' make demo   # a name and a contact of yours"
        case .status(429, _, _), .status(500...599, _, _), .nothing:
            "make demo   # again in some minutes"
        case .status, .notAStream, .failure:
            "WIKIMEDIA_SSE_URL=https://stream.wikimedia.org/v2/stream/recentchange make demo   # the stream's address"
        case .noTLS: "sudo apt-get install --reinstall ca-certificates   # and see that the clock is right"
        case .noAddress, .noConnection, .timeLimit:
            "RECORDING=events.jsonl.zst make demo   # recorded events, without a network; behind a proxy set https_proxy"
        }
    }
}
