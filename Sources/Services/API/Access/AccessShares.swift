import Access
import Bytes
import HTTPEndpoints
import HTTPServer

/// Requests under way of each key, of each client that a trusted proxy names, and of a proxy on this machine that nobody
/// declared. Connections of addresses that come by themselves are counted by the server.
struct AccessShares: Sendable {
    /// By the key's id.
    let byKey: ConnectionShares<String>
    /// By the address's network.
    let byClient: ConnectionShares<IPAddress>

    init(_ configuration: AccessConfiguration) {
        byKey = ConnectionShares(limit: configuration.requestsAtOncePerKey)
        byClient = ConnectionShares(limit: configuration.requestsAtOncePerAddress)
    }
}

extension AccessGuard {
    /// Sets a share aside for a request that was let in.
    ///
    /// - Parameter standing: as ``admit(_:_:)`` has found it.
    /// - Returns: what gives it back; nil where nothing is counted.
    /// - Throws: 429 where all shares are taken.
    func share(_ request: HTTPRequest, _ access: EndpointAccess, _ standing: Standing) throws -> HTTPHold? {
        guard access != .probe else { return nil }
        // The key is read again rather than carried along: half a microsecond, and only where there is one.
        if shares.byKey.limit > 0, case .key(let key) = try caller(request) {
            guard let hold = shares.byKey.hold(key.id) else {
                throw tooMany("this key has \(shares.byKey.limit) requests under way, as many as it may")
            }
            return hold
        }
        guard shares.byClient.limit > 0, let client = request.client?.network, isShared(request, standing) else {
            return nil
        }
        guard let hold = shares.byClient.hold(client) else {
            throw tooMany("this address has \(shares.byClient.limit) requests under way, as many as it may")
        }
        return hold
    }

    /// Whether the server does not count the request's connection against whom it comes from.
    private func isShared(_ request: HTTPRequest, _ standing: Standing) -> Bool {
        // Where this machine's connections are not counted, those of a proxy on it are not either.
        request.isForwarded || (standing.isElsewhere && configuration.local?.hasAnyNumberAtOnce == true)
    }

    private func tooMany(_ message: String) -> APIError {
        refusal(429, "too_many_at_once", message, ["Retry-After": "1"])
    }
}
