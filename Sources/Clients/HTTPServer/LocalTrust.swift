import Bytes

/// Tells requests that people and programs of this machine make from those that merely arrive at its loopback interface:
/// through a proxy beside the server, or from a page of some website in a browser of this machine.
///
/// A browser names in `Host` whom it believes to ask, so a foreign name there means that somebody made that name point here
/// (DNS rebinding), and in `Origin` whose page asks. Neither can be forged by a page. A proxy is told by the headers that it
/// adds, or by HTTP/1.0, which nginx speaks unless told otherwise. One that hides itself altogether cannot be told from a
/// local program: it must be declared.
package struct LocalTrust: Sendable {
    private let hosts: Set<String>
    private let origins: Set<String>
    private let takesAllOrigins: Bool

    /// - Parameters:
    ///   - hosts: names and addresses that are as good as the loopback ones, in lower case, without ports.
    ///   - origins: origins whose pages may ask, such as `https://example.org`; `*` for all.
    package init(hosts: [String] = [], origins: [String] = []) {
        self.hosts = Set(hosts)
        self.origins = Set(origins.map { $0.lowercased() })
        takesAllOrigins = origins.contains("*")
    }

    /// What does not fit a request of this machine.
    package enum Mismatch: Sendable, Equatable {
        /// `Host`, or the target's authority; empty where the request names none.
        case host(String)
        /// `Origin`; empty where a browser says that another site's page asks, and not whose.
        case origin(String)
    }

    /// The first sign of a proxy, which is a header that only proxies write or the old version of the protocol, and what does
    /// not fit this machine; nil each for a request that this machine's people and programs could have made.
    package func judge(_ request: HTTPRequest) -> (proxyHeader: String?, mismatch: Mismatch?) {
        let signs = RequestSigns(request.headers)
        return (signs.proxyHeader ?? (request.isOfHTTP10 ? "HTTP/1.0" : nil), mismatch(request, signs))
    }

    /// The first header of the request that only proxies write; nil without one.
    package static func proxyHeader(_ headers: HTTPHeaders) -> String? { RequestSigns(headers).proxyHeader }

    /// What does not fit; nil for a request that this machine's people and programs could have made.
    package func mismatch(_ request: HTTPRequest) -> Mismatch? { mismatch(request, RequestSigns(request.headers)) }

    private func mismatch(_ request: HTTPRequest, _ signs: RequestSigns) -> Mismatch? {
        // RFC 9112, section 3.2.2: of an absolute target the authority counts; both must do.
        if let authority = Self.authority(request.rawTarget), !isOurs(authority) { return .host(authority) }
        // Only HTTP/1.0 may leave it out. No browser does, but a proxy may, so it is no sign of this machine.
        guard let host = signs.host, isOurs(host) else { return .host(signs.host ?? "") }
        if let origin = signs.origin { return isOrigin(origin) ? nil : .origin(origin) }
        // A picture or a script of another site's page: such requests have no Origin. Who follows a link is welcome.
        return signs.isOfForeignPage ? .origin("") : nil
    }

    private static func authority(_ target: String) -> String? {
        guard target.utf8.first != UInt8(ascii: "/"), let scheme = target.firstRange(of: "://") else { return nil }
        return String(target[scheme.upperBound...].prefix { !"/?".contains($0) })
    }

    /// Whether pages of that origin may ask: those of a loopback name, of a name that was given, and of the origins given.
    package func takes(origin: String) -> Bool { isOrigin(origin) }

    private func isOrigin(_ origin: String) -> Bool {
        if takesAllOrigins || origins.contains(origin.lowercased()) { return true }
        // "null" is what a page without an origin sends, such as a sandboxed frame of any site.
        guard let scheme = origin.firstRange(of: "://") else { return false }
        return isOurs(String(origin[scheme.upperBound...]))
    }

    /// Whether `host`, with or without a port, is a loopback name or address or one that was named.
    func isOurs(_ host: String) -> Bool {
        if Self.isPlain(host, "127.0.0.1") || Self.isPlain(host, "localhost") { return true }
        guard var name = Self.withoutPort(host[...])?.lowercased() else { return false }
        if name.hasSuffix(".") { name.removeLast() }
        // RFC 6761, section 6.3: browsers and resolvers keep names below it to the machine.
        if name == "localhost" || name.hasSuffix(".localhost") || hosts.contains(name) { return true }
        if name.hasPrefix("["), name.hasSuffix("]") {
            let address = String(name.dropFirst().dropLast())
            return hosts.contains(address) || IPAddress(address)?.isLoopback == true
        }
        return IPAddress(name)?.isLoopback == true
    }

    /// Whether it is that name with or without a port, as nearly every request of this machine has it.
    private static func isPlain(_ host: String, _ name: StaticString) -> Bool {
        let bytes = host.utf8
        guard bytes.count >= name.utf8CodeUnitCount else { return false }
        var position = bytes.startIndex
        for place in 0..<name.utf8CodeUnitCount {
            guard bytes[position] == name.utf8Start[place] else { return false }
            position = bytes.index(after: position)
        }
        guard position < bytes.endIndex else { return true }
        guard bytes[position] == UInt8(ascii: ":") else { return false }
        return bytes[bytes.index(after: position)...].allSatisfy(isDigit)
    }

    private static func withoutPort(_ host: Substring) -> Substring? {
        guard let colon = host.utf8.lastIndex(of: UInt8(ascii: ":")), !host.utf8[colon...].contains(UInt8(ascii: "]"))
        else { return host }
        return host.utf8[host.utf8.index(after: colon)...].allSatisfy(isDigit) ? host[..<colon] : nil
    }
}

/// The headers that say where a request comes from, found in one pass.
private struct RequestSigns {
    var proxyHeader: String?
    var host: String?
    var origin: String?
    private var isCrossSite = false
    private var isNavigation = false

    /// Whether a browser asks for something that another site's page wants, other than to show it in the page's place.
    var isOfForeignPage: Bool { isCrossSite && !isNavigation }

    init(_ headers: HTTPHeaders) {
        for field in headers.fields {
            let name = field.name.utf8
            // Most headers are told by their length or their first letter.
            switch name.count {
            case 4 where host == nil && field.isNamed("host"): host = field.value
            case 6 where origin == nil && field.isNamed("origin"): origin = field.value
            case 14 where field.isNamed("sec-fetch-site"): isCrossSite = field.value == "cross-site"
            case 14 where field.isNamed("sec-fetch-mode"): isNavigation = field.value == "navigate"
            default: if proxyHeader == nil, Self.isOfProxy(field) { proxyHeader = field.name.lowercased() }
            }
        }
    }

    /// Beside these, all that begin with `X-Forwarded-`.
    private static let names = [
        "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for",
        "x-original-host", "x-envoy-external-address", "x-proxyuser-ip", "x-appengine-user-ip", "true-client-ip",
        "cf-connecting-ip", "cf-ray", "fastly-client-ip", "client-ip", "forwarded-for", "x-forwarded",
    ]
    private static let prefix = "x-forwarded-"

    private static func isOfProxy(_ field: HTTPHeaders.Field) -> Bool {
        let name = field.name.utf8
        guard let first = name.first.map(lowered), let second = name.dropFirst().first.map(lowered) else {
            return false
        }
        // Their first two letters, which Content-Type, Connection, Cookie, Transfer-Encoding and most others do not have.
        switch (first, second) {
        case (UInt8(ascii: "f"), UInt8(ascii: "o")), (UInt8(ascii: "f"), UInt8(ascii: "a")),
            (UInt8(ascii: "v"), UInt8(ascii: "i")), (UInt8(ascii: "x"), UInt8(ascii: "-")),
            (UInt8(ascii: "t"), UInt8(ascii: "r")), (UInt8(ascii: "c"), UInt8(ascii: "f")),
            (UInt8(ascii: "c"), UInt8(ascii: "l")):
            break
        default: return false
        }
        if names.contains(where: { $0.utf8.count == name.count && field.isNamed($0) }) { return true }
        return name.count > prefix.utf8.count && zip(name, prefix.utf8).allSatisfy { lowered($0) == $1 }
    }
}

extension HTTPHeaders.Field {
    /// - Parameter name: in lower case.
    fileprivate func isNamed(_ name: String) -> Bool {
        // As the server reads them.
        if self.name == name { return true }
        return self.name.utf8.count == name.utf8.count
            && zip(self.name.utf8, name.utf8).allSatisfy { lowered($0) == $1 }
    }
}

extension LocalTrust.Mismatch {
    /// What the client is told: 421 (RFC 9110, section 15.5.20) for a name that is not served, 403 for a page.
    package func fault(remedy: String) -> HTTPFault {
        switch self {
        case .host(let host):
            let what =
                host.isEmpty ? "the request names no host" : "the host “\(Self.cut(host))” is not one of this server's"
            return HTTPFault(
                status: 421, type: "host_not_served", loc: ["header", "host"], message: "\(what); \(remedy)")
        case .origin(let origin):
            let whose = origin.isEmpty ? "another site" : "“\(Self.cut(origin))”"
            return HTTPFault(
                status: 403, type: "origin_not_allowed", loc: ["header", "origin"],
                message: "pages of \(whose) may not ask this server; \(remedy)")
        }
    }

    private static func cut(_ text: String) -> String { text.count > 100 ? text.prefix(100) + "…" : text }
}

extension HTTPRouter {
    /// The same routes for this machine alone: what arrives for a foreign name, from a foreign page or through a proxy is
    /// refused. For servers without keys that listen on the loopback interface.
    ///
    /// - Parameter remedy: what an operator does who wants to ask from elsewhere, such as `set METRICS_LISTEN to …`.
    package func forThisMachine(_ trust: LocalTrust = LocalTrust(), remedy: String) -> HTTPRouter {
        let refusal: Unmatched = { head in
            let (header, mismatch) = trust.judge(head)
            if let mismatch { return mismatch.fault(remedy: remedy).response }
            guard let header else { return nil }
            return HTTPFault(
                status: 403, type: "proxied", loc: ["header", header],
                message: "the request comes through a proxy (\(header)), and only this machine may ask; \(remedy)"
            ).response
        }
        var router = HTTPRouter()
        for route in routes {
            router.on(
                route.method, route.pattern, route.handler, readsBody: route.readsBody, bodyBytesMax: route.bodyBytesMax
            ) {
                head in
                refusal(head).map(HTTPAdmission.refused) ?? route.admission?(head) ?? .admitted
            }
        }
        let unmatched = unmatched
        router.unmatched = { head in refusal(head) ?? unmatched?(head) }
        return router
    }
}
