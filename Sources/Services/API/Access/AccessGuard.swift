import Access
import Bytes
import Concurrency
import HTTPEndpoints
package import HTTPServer
import Hashing
import Records
import ServiceLifecycle
import Synchronization
import Telemetry

/// Who may ask, and how often.
package struct AccessConfiguration: Sendable {
    /// Whether requests without a key may do what the role `read` may, wherever they come from (`API_ANONYMOUS_READ`).
    package var isAnonymousReadAllowed = true
    /// Requests a second of one key (`API_KEY_RATE`); 0 for any number.
    package var keyRate = 0
    /// Requests a second of one address without a valid key (`API_ADDRESS_RATE`); 0 for any number.
    package var addressRate = 0
    /// What this machine's requests may beyond that; nil where a request's coming says nothing about it.
    package var local: LocalAccess?

    /// Whose pages may ask what no page of another site may, with or without a key.
    package var pages = LocalTrust()

    /// Requests of one key that may be under way at once (`API_CONNECTIONS_PER_KEY`); 0 for any number.
    package var requestsAtOncePerKey = 0
    /// The same of one client behind a trusted proxy, and of one that nobody declared (`API_CONNECTIONS_PER_ADDRESS`); 0 for any
    /// number.
    package var requestsAtOncePerAddress = 0

    /// Milliseconds of work a second that requests without a key may cause together (`API_ANONYMOUS_WORK`); 0 for any.
    package var anonymousWorkMilliseconds = 0

    /// Seconds' worth of requests that may come at once.
    static let burstSeconds = 2

    package init() {}
}

/// Lets requests in or refuses them: reads the key, counts the request against its key or address, compares the role.
final class AccessGuard: Sendable {
    let configuration: AccessConfiguration
    private let hasKeys: Bool
    /// All that were ever declared.
    let tenants: @Sendable () -> Set<TenantID>
    private let state: Mutex<State>
    private let metrics: MetricsRegistry
    private let clock: @Sendable () -> Int64
    let shares: AccessShares
    private let logger: Logger?
    /// Whether the log has named a proxy that was not declared.
    private let hasToldOfProxy = Atomic(false)

    private struct State: Sendable {
        /// Nil until the keys were read once.
        var ring: KeyRing?
        var readAtNanoseconds: Int64?
        var byKey: BucketTable<String>?
        var byAddress: BucketTable<IPAddress>?
    }

    /// Who a request comes from.
    enum Caller: Equatable {
        case key(APIKey)
        case anonymous
        /// With a key that is not valid.
        case unknownKey
    }

    /// - Parameters:
    ///   - tenants: all that were ever declared.
    ///   - clock: monotonic nanoseconds, for the limits.
    init(
        _ configuration: AccessConfiguration, hasKeys: Bool,
        tenants: @escaping @Sendable () -> Set<TenantID> = { [] }, metrics: MetricsRegistry, logger: Logger? = nil,
        clock: @escaping @Sendable () -> Int64 = SystemClock.monotonicNanoseconds
    ) {
        self.clock = clock
        self.tenants = tenants
        shares = AccessShares(configuration)
        self.logger = logger
        self.configuration = configuration
        self.hasKeys = hasKeys
        self.metrics = metrics
        func burst(_ rate: Int) -> Double { Double(rate * AccessConfiguration.burstSeconds) }
        var state = State()
        if configuration.keyRate > 0 {
            state.byKey = BucketTable(
                ratePerSecond: Double(configuration.keyRate), burst: burst(configuration.keyRate))
        }
        if configuration.addressRate > 0 {
            state.byAddress = BucketTable(
                ratePerSecond: Double(configuration.addressRate), burst: burst(configuration.addressRate))
        }
        self.state = Mutex(state)
        guard hasKeys else { return }
        metrics.gauge("medallion_api_keys_age_seconds", help: "Time since the API keys were read last.") {
            [weak self] in
            guard let read = self?.state.withLock({ $0.readAtNanoseconds }) else { return -1 }
            return Double(SystemClock.monotonicNanoseconds() - read) / 1e9
        }
    }

    // MARK: Keys

    /// From now on these keys are valid.
    func use(_ ring: KeyRing) {
        state.withLock { state in
            state.ring = ring
            state.readAtNanoseconds = SystemClock.monotonicNanoseconds()
        }
    }

    /// A key that was just made or revoked, before the keys are read again.
    func learn(_ key: APIKey) {
        state.withLock { state in
            // The last one of an id holds.
            if let known = state.ring { state.ring = KeyRing(known.all + [key]) }
        }
    }

    /// The keys; nil while they were never read.
    var ring: KeyRing? { state.withLock { $0.ring } }

    /// The key's text of a request: `Authorization: Bearer`, else `X-API-Key`. Other schemes are a proxy's business.
    private static func presented(_ headers: HTTPHeaders) -> String? {
        if let field = headers["authorization"], field.utf8.count > 7, field.prefix(7).lowercased() == "bearer " {
            return String(field.dropFirst(7).drop { $0 == " " })
        }
        return headers["x-api-key"]
    }

    /// Who a request comes from. Clients of OpenAI's API do not start without a key: for its endpoints a text that was never
    /// meant for one of ours is none, so that they read where reading takes no key.
    ///
    /// - Throws: 503 while no keys were read, and where OpenSSL fails.
    func caller(_ request: HTTPRequest) throws -> Caller {
        hasPlaceholder(request) ? .anonymous : try caller(request.headers)
    }

    private func hasPlaceholder(_ request: HTTPRequest) -> Bool {
        guard request.path.hasPrefix("/v1/"), let presented = Self.presented(request.headers) else { return false }
        return !APIKeyText.isMeant(presented)
    }

    /// - Throws: 503 while no keys were read, and where OpenSSL fails.
    func caller(_ headers: HTTPHeaders) throws -> Caller {
        guard let presented = Self.presented(headers) else { return .anonymous }
        guard let text = APIKeyText(presented), hasKeys else { return .unknownKey }
        guard let ring else { throw APIError.unavailable("the list of keys", "it was not read yet") }
        var hasher = try SHA256Hasher()
        let digest = try Array(text.text.utf8).withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
        let key = ring.key(text, sha256: digest.hex, nowMilliseconds: SystemClock.epochMilliseconds())
        return key.map(Caller.key) ?? .unknownKey
    }

    // MARK: Admission

    /// What ``admit(_:_:)`` may reply, for the document.
    static let replies: @Sendable (EndpointAccess) -> [EndpointReply] = { access in
        let tooMany = EndpointReply.error(429, "Too many requests; `Retry-After` says when to go on.")
        switch access {
        case .probe: return []
        case .open:
            return [
                .error(403, "The page that asks may not."),
                .error(421, "Without a key this server answers to other names only."), tooMany,
            ]
        case .role, .roleOrAnonymous:
            return [
                .error(401, "A key is needed, or the one given is not valid."),
                .error(
                    403,
                    "The key's role does not allow this, `Medallion-Tenant` names another tenant than the caller's, or the "
                        + "page that asks may not."),
                .error(421, "Without a key this server answers to other names only."), tooMany,
            ]
        }
    }

    /// - Returns: where it comes from.
    /// - Throws: 401, 403 or 429 where the request must not be served, 422 where the tenant that it names has no name; 503
    ///   while that is not known.
    @discardableResult
    func admit(_ request: HTTPRequest, _ access: EndpointAccess) throws -> Standing {
        if access == .probe { return .unasked }
        let caller = try caller(request)
        let standing = try admit(request, access, caller)
        // What it may not see, whatever it may do, is said before anything of its body is read.
        if access != .open { _ = try tenant(named: request.headers, by: caller) }
        return standing
    }

    private func admit(_ request: HTTPRequest, _ access: EndpointAccess, _ caller: Caller) throws -> Standing {
        let standing = standing(of: request, caller)
        try count(caller, request.client, isUnlimited: standing == .local && configuration.local?.isUnlimited == true)
        let needed: Role
        switch access {
        case .probe: return standing
        case .open:
            if case .foreign(let mismatch, proxyHeader: nil) = standing { throw refusal(mismatch) }
            return standing
        case .role(let name): needed = Role(rawValue: name) ?? .admin
        case .roleOrAnonymous(let name):
            needed = Role(rawValue: name) ?? .admin
            guard caller == .anonymous else { break }
            if try isReadingAllowed(standing) { return standing }
            if let header = standing.proxyHeader, let local = configuration.local,
                local.readsAnonymously || local.refusesProxied
            {
                throw refusal(ofProxied: header)
            }
        }
        switch caller {
        case .key(let key) where key.role >= needed: return standing
        case .key(let key):
            throw refusal(
                403, "forbidden",
                "the key \(key.id) has the role \(key.role.rawValue); this takes \(needed.rawValue)")
        case .anonymous where hasPlaceholder(request): throw invalidKey()
        case .anonymous:
            throw refusal(
                401, "key_missing",
                "a key is needed: Authorization: Bearer, or X-API-Key; `medallion keys create` makes one",
                ["WWW-Authenticate": "Bearer realm=\"medallion\""])
        case .unknownKey: throw invalidKey()
        }
    }

    func invalidKey() -> APIError {
        refusal(
            401, "key_invalid", "the key is not known, was revoked or has expired",
            ["WWW-Authenticate": "Bearer realm=\"medallion\", error=\"invalid_token\""])
    }

    /// Counts one more request of a caller that was let in, such as a further search of a batch.
    ///
    /// - Throws: 429 beyond the caller's rate.
    func countAgain(_ request: HTTPRequest) throws {
        let caller = try caller(request)
        let isLocal = standing(of: request, caller) == .local
        try count(caller, request.client, isUnlimited: isLocal && configuration.local?.isUnlimited == true)
    }

    /// Counts a request that a signature let in against the source that it is for.
    ///
    /// - Throws: 429 beyond the rate of one key.
    func countSigned(source: String) throws {
        let now = clock()
        try refuse(state.withLock { $0.byKey?.take("source \(source)", nowNanoseconds: now) }, "this source")
    }

    /// Counts a request against its address, whether or not others of it are counted: while its signature is not known to be
    /// right, and for good where it is wrong.
    ///
    /// - Throws: 429 beyond the rate of one address.
    func countUnsigned(_ request: HTTPRequest) throws {
        guard let address = request.client else { return }
        let now = clock()
        try refuse(state.withLock { $0.byAddress?.take(address.network, nowNanoseconds: now) }, "this address")
    }

    /// Takes back what ``countUnsigned(_:)`` counted, once the signature proved right.
    func uncountUnsigned(_ request: HTTPRequest) {
        guard let address = request.client else { return }
        _ = state.withLock { $0.byAddress?.giveBack(address.network) }
    }

    /// Whether a request comes with a key, valid or not. Its head says so once and for all, whatever becomes of keys meanwhile.
    func presentsKey(_ request: HTTPRequest) -> Bool { Self.presented(request.headers) != nil }

    /// A valid key's requests count against it, wherever they come from; all others against their address.
    ///
    /// - Parameter isUnlimited: whether a request without a key is not counted.
    private func count(_ caller: Caller, _ address: IPAddress?, isUnlimited: Bool) throws {
        let now = clock()
        let wait = state.withLock { state -> Int64? in
            if case .key(let key) = caller { return state.byKey?.take(key.id, nowNanoseconds: now) }
            guard let address, !isUnlimited else { return nil }
            return state.byAddress?.take(address.network, nowNanoseconds: now)
        }
        var whose = "this address"
        if case .key = caller { whose = "this key" }
        try refuse(wait, whose)
    }

    /// - Parameter wait: nanoseconds until the next request; nil where none need be waited.
    private func refuse(_ wait: Int64?, _ whose: String) throws {
        guard let wait else { return }
        let seconds = max(1, (wait + 999_999_999) / 1_000_000_000)
        throw refusal(
            429, "rate_limited", "too many requests of \(whose); go on in \(seconds) s", ["Retry-After": "\(seconds)"])
    }

    /// Says once that requests come through a proxy that nobody declared.
    func noteProxy(_ header: String) {
        guard let logger, !hasToldOfProxy.exchange(true, ordering: .relaxed) else { return }
        logger.warning(
            "requests come through a proxy that API_TRUSTED_PROXIES does not name: they need a key, and share one limit",
            ["header": header])
    }

    /// Counts a request that was refused.
    func noteRefusal(_ reason: String) {
        metrics.counter(
            "medallion_api_refused_requests_total", help: "Requests refused for their key, role or number.",
            labels: [("reason", reason)]
        ).increment()
    }

    func refusal(_ status: Int, _ type: String, _ message: String, _ headers: HTTPHeaders = [:]) -> APIError {
        noteRefusal(type)
        return APIError(status: status, type: type, message: message, headers: headers)
    }
}

extension AccessGuard {
    /// Between two readings of the keys; a key that is revoked is refused after about that time.
    private static let keyMilliseconds = 1_000

    /// Reads the keys again and again until stopped. While they cannot be read, the ones known last stay valid: nobody can
    /// revoke one in that time either, as they are where they are read from.
    func followKeys(_ read: @escaping @Sendable () throws -> [APIKey], stop: StopSignal) async {
        let lane = Lane(name: "api-keys")
        var isFailing = false
        while !stop.isRequested {
            do {
                use(KeyRing(try await lane.run(read)))
                isFailing = false
            } catch {
                if !isFailing { logger?.warning("the API keys cannot be read", ["error": "\(error)"]) }
                isFailing = true
            }
            if await stop.pause(milliseconds: Self.keyMilliseconds) { return }
        }
    }
}
