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
        guard let accept, accept != "*/*" else { return offered.isEmpty ? nil : 0 }
        let ranges = accept.utf8.split(separator: UInt8(ascii: ",")).compactMap { Range(Substring($0)) }
        guard !ranges.isEmpty else { return offered.isEmpty ? nil : 0 }
        var best: (place: Int, quality: Int)?
        for (place, type) in offered.enumerated() {
            // The most specific range that fits decides, RFC 9110, section 12.5.1.
            let fitting = ranges.filter { $0.fits(type) }.max { $0.specificity < $1.specificity }
            guard let quality = fitting?.quality, quality > 0 else { continue }
            if quality > best?.quality ?? 0 { best = (place, quality) }
        }
        return best?.place
    }

    private struct Range {
        let essence: String
        /// Thousandths.
        let quality: Int

        init?(_ text: Substring) {
            let parts = text.utf8.split(separator: UInt8(ascii: ";"))
            guard let first = parts.first else { return nil }
            essence = MediaType.essence(of: String(Substring(first)))
            guard essence.utf8.contains(UInt8(ascii: "/")) else { return nil }
            var quality = 1.0
            for part in parts.dropFirst() {
                let parameter = MediaType.essence(of: String(Substring(part)))
                if parameter.hasPrefix("q=") { quality = Double(parameter.dropFirst(2)) ?? 0 }
            }
            // Swift reads "nan", "inf" and 1e999 as numbers, too, which no integer holds.
            self.quality = quality.isNaN ? 0 : Int(min(max(quality, 0), 1) * 1_000)
        }

        var specificity: Int { essence == "*/*" ? 0 : essence.hasSuffix("/*") ? 1 : 2 }

        func fits(_ type: String) -> Bool {
            essence == type || essence == "*/*" || (essence.hasSuffix("/*") && type.hasPrefix(essence.dropLast()))
        }
    }
}
