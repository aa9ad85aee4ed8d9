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
    /// Whether nobody else reaches the server by himself. Elsewhere such a request may come from anywhere: all that it has is
    /// a name in `Host`.
    package var isAlone: Bool
    /// Whether reading without a key is refused to what comes through a proxy, though others may: the names in `API_HOSTS` say
    /// who is meant, and a proxy that nobody declared brings anybody.
    package var refusesProxied = false
    /// Whether the number of their streams is not limited (`API_STREAMS_PER_ADDRESS=auto`).
    package var hasAnyNumberOfStreams = false
    /// The same of requests at once (`API_CONNECTIONS_PER_ADDRESS=auto`).
    package var hasAnyNumberAtOnce = false
    /// The same of the work that they cause (`API_ANONYMOUS_WORK=auto`).
    package var hasAnyWork = false

    /// Memberwise, but for what is off unless it is asked for.
    package init(trust: LocalTrust, readsAnonymously: Bool, isUnlimited: Bool, isAlone: Bool) {
        self.trust = trust
        self.readsAnonymously = readsAnonymously
        self.isUnlimited = isUnlimited
        self.isAlone = isAlone
    }

    /// Whether it matters that a request came through a proxy.
    var minds: Bool { readsAnonymously || isUnlimited || refusesProxied }
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

        /// Whether it comes from elsewhere, as far as that can be told.
        var isElsewhere: Bool {
            switch self {
            case .unasked, .local: false
            case .proxied, .foreign: true
            }
        }

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
        if let header, local.minds { noteProxy(header) }
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
            return standing.proxyHeader == nil || configuration.local?.refusesProxied != true
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
                + "`medallion keys create` makes one. Name the proxy in API_TRUSTED_PROXIES; API_ANONYMOUS_READ=true then "
                + "opens reading to all",
            ["WWW-Authenticate": "Bearer realm=\"medallion\""])
    }

    // MARK: What callers are told

    /// Whether the caller is told addresses, folders and errors, for endpoints that tell strangers less: with a key, or on this
    /// machine. That reading is open to all makes nobody an operator. Where there are other tenants than the caller's, it takes
    /// an administrator of the platform: details name topics and sources of all of them.
    func maySeeDetails(_ request: HTTPRequest) -> Bool {
        guard seesAllTenants(request), let caller = try? caller(request) else { return false }
        switch caller {
        case .key(let key): return key.role >= .read
        case .anonymous:
            guard let local = configuration.local, local.isAlone, standing(of: request, caller) == .local else {
                return false
            }
            return local.readsAnonymously || configuration.isAnonymousReadAllowed
        case .unknownKey: return false
        }
    }

    /// Whether the request's stream counts against its address or key.
    func countsStreams(_ request: HTTPRequest) -> Bool {
        guard configuration.local?.hasAnyNumberOfStreams == true, let caller = try? caller(request) else {
            return true
        }
        return standing(of: request, caller) != .local
    }

    /// Who asks: a key, or an address without one; nil where nobody knows where a request comes from.
    func origin(of request: HTTPRequest) -> StreamSeats.Caller? {
        if case .key(let key) = try? caller(request) { return .key(key.id) }
        return request.client.map { .address($0.network) }
    }

    /// Whose share a request's work is paid from; nil where it is not counted: with a key, of this machine, or where nobody
    /// knows where it comes from.
    func sharingCaller(_ request: HTTPRequest) -> StreamSeats.Caller? {
        guard configuration.anonymousWorkMilliseconds > 0, let client = request.client else { return nil }
        guard let caller = try? caller(request) else { return nil }
        if case .key = caller { return nil }
        if configuration.local?.hasAnyWork == true, standing(of: request, caller) == .local { return nil }
        return .address(client.network)
    }

    /// Whether the caller's key has the role `write` or a higher one.
    func mayWrite(_ request: HTTPRequest) throws -> Bool {
        guard case .key(let key) = try caller(request) else { return false }
        return key.role >= .write
    }

    /// Whether the caller may see what is inside, of all tenants.
    func isPlatformAdmin(_ request: HTTPRequest) -> Bool {
        guard case .key(let key)? = try? caller(request) else { return false }
        return key.isPlatformAdmin
    }

    /// Whether the request has a valid key.
    func hasKey(_ request: HTTPRequest) -> Bool {
        if case .key? = try? caller(request) { true } else { false }
    }
}
