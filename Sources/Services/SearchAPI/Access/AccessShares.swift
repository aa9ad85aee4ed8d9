import Access
import Bytes
import HTTPEndpoints
import HTTPServer

/// Requests under way of each key, and of each client that a trusted proxy names. Connections of addresses that come by
/// themselves are counted by the server.
struct AccessShares: Sendable {
    /// By the key's id.
    let byKey: ConnectionShares<String>
    /// By the address's network.
    let byClient: ConnectionShares<IPAddress>

    init(_ configuration: AccessConfiguration) {
        byKey = ConnectionShares(limit: configuration.requestsAtOncePerKey)
        byClient = ConnectionShares(limit: configuration.connectionsPerAddress)
    }
}

extension AccessGuard {
    /// Sets a share aside for a request that was let in.
    ///
    /// - Returns: what gives it back; nil where nothing is counted.
    /// - Throws: 429 where all shares are taken.
    func share(_ request: HTTPRequest, _ access: EndpointAccess) throws -> HTTPHold? {
        guard access != .probe else { return nil }
        // The key is read again rather than carried along: half a microsecond, and only where there is one.
        if shares.byKey.limit > 0, case .key(let key) = try caller(request.headers) {
            guard let hold = shares.byKey.hold(key.id) else {
                throw tooMany("this key has \(shares.byKey.limit) requests under way, as many as it may")
            }
            return hold
        }
        guard shares.byClient.limit > 0, request.isForwarded, let client = request.client?.network else { return nil }
        guard let hold = shares.byClient.hold(client) else {
            throw tooMany("this address has \(shares.byClient.limit) requests under way, as many as it may")
        }
        return hold
    }

    private func tooMany(_ message: String) -> APIError {
        refusal(429, "too_many_at_once", message, ["Retry-After": "1"])
    }
}
