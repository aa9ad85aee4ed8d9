import Glibc

/// An IPv4 or IPv6 address; IPv4 mapped into IPv6 (`::ffff:a.b.c.d`) is the IPv4 address.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The 128 bits, IPv4 as mapped into IPv6 (RFC 4291, section 2.5.5.2).
    let bits: UInt128

    private static let mappedPrefix = UInt128(0xFFFF) << 32

    init(bits: UInt128) {
        self.bits = bits
    }

    /// Reads dotted decimal or RFC 4291 text; nil for anything else, a zone (`%eth0`) included.
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        // inet_pton(3) would read up to a NUL and call the rest good.
        guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            bits = Self.mappedPrefix | UInt128(UInt32(bigEndian: four.s_addr))
            return
        }
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
        bits = bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Whether it is an IPv4 address.
    package var isIPv4: Bool { bits >> 32 == 0xFFFF }

    /// Whether it names the machine itself (127.0.0.0/8 or ::1).
    package var isLoopback: Bool { isIPv4 ? bits >> 24 & 0xFF == 127 : bits == 1 }

    /// The first 64 bits of an IPv6 address, which one customer of a provider has to himself; an IPv4 address as it is.
    package var network: IPAddress { isIPv4 ? self : IPAddress(bits: bits & ~UInt128(UInt64.max)) }

    package var description: String {
        if isIPv4 { return (0..<4).map { "\(bits >> UInt128(24 - 8 * $0) & 0xFF)" }.joined(separator: ".") }
        var bytes = (0..<16).map { UInt8(truncatingIfNeeded: bits >> UInt128(120 - 8 * $0)) }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Addresses that share their first bits, such as `10.0.0.0/8`, `2001:db8::/32` or a single one.
package struct IPAddressRange: Hashable, Sendable {
    private let first: UInt128
    private let mask: UInt128

    /// Reads an address with or without `/bits`; nil where bits below the prefix are set, which is mostly a slip.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        var length = 128
        if parts.count == 2 {
            let width = address.isIPv4 ? 32 : 128
            guard parts[1].utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }), let given = Int(parts[1]),
                (0...width).contains(given)
            else { return nil }
            length = 128 - width + given
        }
        mask = length == 0 ? 0 : UInt128.max << UInt128(128 - length)
        first = address.bits
        guard first & ~mask == 0 else { return nil }
    }

    /// Whether the address is one of them.
    package func contains(_ address: IPAddress) -> Bool { address.bits & mask == first }
}
