/// Media types of RFC 9110, section 8.3, and their negotiation, section 12.5.
package enum MediaType {
    /// JSON.
    package static let json = "application/json"
    /// Server-sent events.
    package static let events = "text/event-stream"

    /// Type and subtype without parameters, in lower case.
    package static func essence(of value: String) -> String {
        let head = value.utf8.prefix { $0 != UInt8(ascii: ";") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(head.count)
        for byte in head where byte != 0x20 && byte != 0x09 {
            bytes.append(byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Which of `offered` (essences, the server's choice first) an `Accept` field takes best; nil where it takes none.
    /// A field that is absent or not understood takes all.
    package static func choose(_ accept: String?, from offered: [String]) -> Int? {
        guard let ranges = ranges(accept) else { return offered.isEmpty ? nil : 0 }
        return choose(ranges, from: offered)
    }

    /// As ``choose(_:from:)``, and where the field takes none of `offered`, the first that it does not refuse by `q=0`.
    ///
    /// RFC 9110, section 12.5.1, leaves it to the server to disregard the field rather than reply 406. Programs made from
    /// an OpenAPI document accept the type of its errors only, and can read what they get all the same.
    package static func reply(_ accept: String?, from offered: [String]) -> Int? {
        guard let ranges = ranges(accept) else { return offered.isEmpty ? nil : 0 }
        return choose(ranges, from: offered) ?? offered.indices.first { quality(of: offered[$0], in: ranges) != 0 }
    }

    /// Nil where the field is absent, takes all or is not understood.
    private static func ranges(_ accept: String?) -> [Range]? {
        guard let accept, accept != "*/*" else { return nil }
        let ranges = accept.utf8.split(separator: UInt8(ascii: ",")).compactMap { Range(Substring($0)) }
        return ranges.isEmpty ? nil : ranges
    }

    /// What the most specific range that fits says, RFC 9110, section 12.5.1; nil where none fits.
    private static func quality(of type: String, in ranges: [Range]) -> Int? {
        ranges.filter { $0.fits(type) }.max { $0.specificity < $1.specificity }?.quality
    }

    private static func choose(_ ranges: [Range], from offered: [String]) -> Int? {
        var best: (place: Int, quality: Int)?
        for (place, type) in offered.enumerated() {
            guard let quality = quality(of: type, in: ranges), quality > 0 else { continue }
            if quality > best?.quality ?? 0 { best = (place, quality) }
        }
        return best?.place
    }

    private struct Range {
        let essence: String
        /// Thousandths.
        let quality: Int

        init?(_ text: Substring) {
            (essence, quality) = Quality.read(text)
            guard essence.utf8.contains(UInt8(ascii: "/")) else { return nil }
        }

        var specificity: Int { essence == "*/*" ? 0 : essence.hasSuffix("/*") ? 1 : 2 }

        func fits(_ type: String) -> Bool {
            essence == type || essence == "*/*" || (essence.hasSuffix("/*") && type.hasPrefix(essence.dropLast()))
        }
    }
}
