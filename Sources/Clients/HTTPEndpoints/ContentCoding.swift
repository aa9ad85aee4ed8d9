package import HTTPServer

/// Codings of a reply's body and their negotiation, RFC 9110, section 12.5.3.
package enum ContentCoding {
    /// Whether a request wants its reply in gzip: it takes gzip, and does not like the plain bytes better.
    ///
    /// What the field says of gzip itself counts before what it says of `*`. A client that names neither takes only
    /// the plain bytes, as does one without the field, which may be too simple to decode anything.
    package static func wantsGzip(_ headers: HTTPHeaders) -> Bool {
        guard headers["accept-encoding"] != nil else { return false }
        var (gzip, any, identity): (Int?, Int?, Int?)
        for field in headers.values("accept-encoding") {
            for part in field.utf8.split(separator: UInt8(ascii: ",")) {
                let (word, quality) = Quality.read(Substring(part))
                switch word {
                case "gzip", "x-gzip": gzip = max(gzip ?? 0, quality)
                case "*": any = quality
                case "identity": identity = quality
                default: break
                }
            }
        }
        guard let wanted = gzip ?? any, wanted > 0 else { return false }
        return wanted >= identity ?? 0
    }
}

/// A word with its weight, `word;q=0.5`: RFC 9110, section 12.4.2.
enum Quality {
    /// - Returns: the word in lower case, and its weight in thousandths. One that is no number is 0: nobody wants to be
    ///   sent what they wrote so little about.
    static func read(_ text: Substring) -> (word: String, thousandths: Int) {
        let parts = text.utf8.split(separator: UInt8(ascii: ";"))
        guard let first = parts.first else { return ("", 0) }
        var quality = 1.0
        for part in parts.dropFirst() {
            let parameter = MediaType.essence(of: String(Substring(part)))
            if parameter.hasPrefix("q=") { quality = Double(parameter.dropFirst(2)) ?? 0 }
        }
        // Swift reads "nan", "inf" and 1e999 as numbers, too, which no integer holds.
        let thousandths = quality.isNaN ? 0 : Int((min(max(quality, 0), 1) * 1_000).rounded(.up))
        return (MediaType.essence(of: String(Substring(first))), thousandths)
    }
}
