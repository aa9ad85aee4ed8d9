package import Bytes

/// Which header a proxy writes the client's address into.
package enum ForwardedHeader: String, Sendable, CaseIterable {
    /// `X-Forwarded-For`: addresses with commas, each proxy appends whom it got the request from.
    case xForwardedFor = "x-forwarded-for"
    /// RFC 7239's `Forwarded`, of which the `for` parameters count.
    case forwarded
}

/// Who sent a request, where proxies stand between. Only what a named proxy says is believed: anybody can write a
/// header.
package struct ProxyTrust: Sendable {
    private let proxies: [IPAddressRange]
    private let header: ForwardedHeader

    /// - Parameters:
    ///   - proxies: those whose word counts; none: the peer is the client.
    ///   - header: the one that they write. Only one, because most proxies pass the other on as the client wrote it.
    package init(proxies: [IPAddressRange] = [], header: ForwardedHeader = .xForwardedFor) {
        self.proxies = proxies
        self.header = header
    }

    /// The nearest address that is not one of the proxies; read from the end, since each proxy appends. An entry that is
    /// no address ends the search at the proxy that wrote it.
    package func client(peer: IPAddress, headers: HTTPHeaders) -> IPAddress {
        guard isProxy(peer) else { return peer }
        var client = peer
        for entry in entries(headers).reversed() {
            guard let address = Self.address(of: entry) else { break }
            client = address
            guard isProxy(address) else { break }
        }
        return client
    }

    /// Whether `address` is one of the proxies.
    func isProxy(_ address: IPAddress) -> Bool { proxies.contains { $0.contains(address) } }

    private func entries(_ headers: HTTPHeaders) -> [Substring] {
        let elements = headers.values(header.rawValue).flatMap { value in
            value.split(separator: ",", omittingEmptySubsequences: false).map(Self.trimmed)
        }
        switch header {
        case .xForwardedFor: return elements
        case .forwarded:
            // An element without `for` is a proxy that did not say: nothing before it can be relied on.
            return elements.map { element in
                let pairs = element.split(separator: ";").map(Self.trimmed)
                return pairs.first { $0.lowercased().hasPrefix("for=") }?.dropFirst(4) ?? ""
            }
        }
    }

    /// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, in quotes or not.
    private static func address(of entry: Substring) -> IPAddress? {
        var text = entry
        if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            return IPAddress(text[text.index(after: text.startIndex)..<end])
        }
        if let address = IPAddress(text) { return address }
        guard let colon = text.firstIndex(of: ":"), !text[text.index(after: colon)...].contains(":") else { return nil }
        return IPAddress(text[..<colon])
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
