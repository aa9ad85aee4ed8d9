import Access
import HTTPEndpoints
package import HTTPServer

/// What requests of this machine may where the API is reached by its loopback interface alone, and whose requests those are.
package struct LocalAccess: Sendable {
    /// Tells this machine's requests from others.
    package var trust: LocalTrust
    /// Whether they may read without a key (`API_ANONYMOUS_READ=auto`).
    package var readsAnonymously: Bool
    /// Whether their number is not limited (`API_ADDRESS_RATE=auto`).
    package var isUnlimited: Bool

    /// Memberwise.
    package init(trust: LocalTrust, readsAnonymously: Bool, isUnlimited: Bool) {
        self.trust = trust
        self.readsAnonymously = readsAnonymously
        self.isUnlimited = isUnlimited
    }
}

extension AccessGuard {
    /// Where a request without a valid key comes from, as far as that matters.
    enum Standing: Equatable {
        /// Nobody asks: it has a key, or coming from this machine means nothing here.
        case unasked
        case local
        /// Through a proxy, but for one of our names.
        case proxied(header: String)
        case foreign(LocalTrust.Mismatch, proxyHeader: String?)

        var proxyHeader: String? {
            switch self {
            case .unasked, .local: nil
            case .proxied(let header): header
            case .foreign(_, let header): header
            }
        }
    }

    func standing(of request: HTTPRequest, _ caller: Caller) -> Standing {
        if case .key = caller { return .unasked }
        guard let local = configuration.local else { return .unasked }
        let (header, mismatch) = local.trust.judge(request)
        if let header, local.readsAnonymously || local.isUnlimited { noteProxy(header) }
        if let mismatch { return .foreign(mismatch, proxyHeader: header) }
        return header.map { .proxied(header: $0) } ?? .local
    }

    /// Whether that request may read without a key.
    ///
    /// - Throws: 421 or 403 where only its name or its page is wrong.
    func isReadingAllowed(_ standing: Standing) throws -> Bool {
        if configuration.isAnonymousReadAllowed {
            // Those who opened it to all did not open it to every page that a browser behind their firewall shows.
            if case .foreign(let mismatch, _) = standing { throw refusal(mismatch) }
            return true
        }
        guard configuration.local?.readsAnonymously == true else { return false }
        if case .foreign(let mismatch, proxyHeader: nil) = standing { throw refusal(mismatch) }
        return standing == .local
    }

    func refusal(_ mismatch: LocalTrust.Mismatch) -> APIError {
        let remedy =
            switch mismatch {
            case .host:
                "send a key, or name it in API_HOSTS; where a proxy stands in front, name that in API_TRUSTED_PROXIES"
            case .origin: "send a key, or name the page's origin in API_CORS_ORIGINS"
            }
        let fault = mismatch.fault(remedy: remedy)
        return refusal(fault.status, fault.type, fault.message)
    }

    func refusal(ofProxied header: String) -> APIError {
        refusal(
            401, "key_missing",
            "a key is needed, since the request came through a proxy (\(header)): Authorization: Bearer, or X-API-Key; "
                + "`medallion keys create` makes one. Name the proxy in API_TRUSTED_PROXIES; API_ANONYMOUS_READ=true opens "
                + "reading to all",
            ["WWW-Authenticate": "Bearer realm=\"medallion\""])
    }

    // MARK: What callers are told

    /// Whether the caller may see what readers may, for endpoints that tell strangers less.
    func mayRead(_ request: HTTPRequest) -> Bool {
        guard let caller = try? caller(request.headers) else { return false }
        switch caller {
        case .key(let key): return key.role >= .read
        case .anonymous: return (try? isReadingAllowed(standing(of: request, caller))) == true
        case .unknownKey: return false
        }
    }

    /// Whether the caller may see what is inside.
    func isAdmin(_ request: HTTPRequest) -> Bool {
        guard case .key(let key)? = try? caller(request.headers) else { return false }
        return key.role >= .admin
    }

    /// Whether the request has a valid key.
    func hasKey(_ request: HTTPRequest) -> Bool {
        if case .key? = try? caller(request.headers) { true } else { false }
    }
}
