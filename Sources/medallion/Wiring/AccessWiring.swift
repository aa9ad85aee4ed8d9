import API
import Glibc
import HTTPServer
import Retrieval
import Settings

extension AccessConfiguration {
    /// Who may ask, by the settings.
    init(_ settings: Settings) {
        self.init()
        isAnonymousReadAllowed = settings.access.isAnonymousReadForAll
        keyRate = settings.access.keyRate
        addressRate = settings.access.addressRate
        anonymousWorkMilliseconds = settings.access.anonymousWork(
            processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        requestsAtOncePerKey = settings.apiConnectionsPerKey
        requestsAtOncePerAddress = settings.apiRequestsPerAddress
        pages = LocalTrust(hosts: settings.access.hosts, origins: settings.api.corsOrigins)
        guard settings.isAPILocal || !settings.access.hosts.isEmpty else { return }
        var local = LocalAccess(
            trust: pages,
            readsAnonymously: settings.isAPILocal && settings.isAnonymousReadAllowed
                && !settings.access.isAnonymousReadForAll,
            isUnlimited: settings.isAPILocal && settings.access.isAddressRateAutomatic, isAlone: settings.isAPILocal)
        local.refusesProxied = !settings.access.hosts.isEmpty && settings.access.trustedProxies.isEmpty
        local.hasAnyNumberOfStreams = settings.isAPILocal && settings.access.areStreamsPerAddressAutomatic
        local.hasAnyNumberAtOnce = settings.isAPILocal && settings.access.areConnectionsPerAddressAutomatic
        local.hasAnyWork = settings.isAPILocal && settings.access.isAnonymousWorkAutomatic
        self.local = local
    }

    /// What an operator may not have meant to leave open.
    static func warnings(_ settings: Settings) -> [String] {
        var warnings: [String] = []
        let isBehindProxy = !settings.access.trustedProxies.isEmpty
        if settings.access.isAnonymousReadForAll, !settings.isAPILocal {
            let place = isBehindProxy ? "the proxies of API_TRUSTED_PROXIES" : "API_LISTEN"
            warnings.append("whoever reaches \(place) may read: API_ANONYMOUS_READ is true")
            if settings.access.hosts.isEmpty {
                warnings.append(
                    "pages of any site may read through a browser that reaches the API: name the names it is asked under in "
                        + "API_HOSTS")
            }
        }
        if settings.access.addressRate == 0, !settings.isAPILocal {
            warnings.append("requests without a key are not limited: API_ADDRESS_RATE is 0")
        }
        if settings.api.corsOrigins.contains("*"), settings.isAnonymousReadAllowed {
            warnings.append("pages of any site may read without a key: API_CORS_ORIGINS is *")
        }
        if !settings.api.listen.isLoopback, settings.access.tlsCertificate.isEmpty, !isBehindProxy {
            warnings.append("keys and replies travel unencrypted: set API_TLS_CERTIFICATE, or put a proxy in front")
        }
        return warnings
    }
}

extension AnswerBounds {
    /// What is kept of answers, by the settings.
    init(_ settings: Settings) {
        self.init(
            rowsMax: Int64(settings.answers.rowsMax), bytesMax: Int64(settings.answers.bytesMax),
            retentionMilliseconds: Int64(settings.answers.retentionDays) * 86_400_000)
    }
}
