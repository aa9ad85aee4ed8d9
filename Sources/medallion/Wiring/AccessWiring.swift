import API
import Glibc
import HTTPServer
import Retrieval
import Settings

extension AccessConfiguration {
    /// Who may ask, by the settings.
    init(_ settings: Settings) {
        self.init()
        isAnonymousReadAllowed = settings.isAnonymousReadForAll
        keyRate = settings.apiKeyRate
        addressRate = settings.apiAddressRate
        anonymousWorkMilliseconds = settings.apiAnonymousWork(
            processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        requestsAtOncePerKey = settings.apiConnectionsPerKey
        requestsAtOncePerAddress = settings.apiRequestsPerAddress
        guard settings.isAPILocal || !settings.apiHosts.isEmpty else { return }
        var local = LocalAccess(
            trust: LocalTrust(hosts: settings.apiHosts, origins: settings.apiCORSOrigins),
            readsAnonymously: settings.isAPILocal && settings.isAnonymousReadAllowed && !settings.isAnonymousReadForAll,
            isUnlimited: settings.isAPILocal && settings.isAddressRateAutomatic, isAlone: settings.isAPILocal)
        local.refusesProxied = !settings.apiHosts.isEmpty && settings.apiTrustedProxies.isEmpty
        local.hasAnyNumberOfStreams = settings.isAPILocal && settings.areStreamsPerAddressAutomatic
        local.hasAnyNumberAtOnce = settings.isAPILocal && settings.areConnectionsPerAddressAutomatic
        local.hasAnyWork = settings.isAPILocal && settings.isAnonymousWorkAutomatic
        self.local = local
    }

    /// What an operator may not have meant to leave open.
    static func warnings(_ settings: Settings) -> [String] {
        var warnings: [String] = []
        let isBehindProxy = !settings.apiTrustedProxies.isEmpty
        if settings.isAnonymousReadForAll, !settings.isAPILocal {
            let place = isBehindProxy ? "the proxies of API_TRUSTED_PROXIES" : "API_LISTEN"
            warnings.append("whoever reaches \(place) may read: API_ANONYMOUS_READ is true")
            if settings.apiHosts.isEmpty {
                warnings.append(
                    "pages of any site may read through a browser that reaches the API: name the names it is asked under in "
                        + "API_HOSTS")
            }
        }
        if settings.apiAddressRate == 0, !settings.isAPILocal {
            warnings.append("requests without a key are not limited: API_ADDRESS_RATE is 0")
        }
        if settings.apiCORSOrigins.contains("*"), settings.isAnonymousReadAllowed {
            warnings.append("pages of any site may read without a key: API_CORS_ORIGINS is *")
        }
        if !settings.apiListen.isLoopback, settings.apiTLSCertificate.isEmpty, !isBehindProxy {
            warnings.append("keys and replies travel unencrypted: set API_TLS_CERTIFICATE, or put a proxy in front")
        }
        return warnings
    }
}

extension AnswerBounds {
    /// What is kept of answers, by the settings.
    init(_ settings: Settings) {
        self.init(
            rowsMax: Int64(settings.answersRowsMax), bytesMax: Int64(settings.answersBytesMax),
            retentionMilliseconds: Int64(settings.answerRetentionDays) * 86_400_000)
    }
}
