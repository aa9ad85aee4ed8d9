/// The character references of HTML that occur in comments: `&nbsp;`, `&#8211;`, `&#x2013;`.
enum CharacterEntities {
    private static let nameBytesMax = 8

    /// - Returns: the scalar that the reference at `index` stands for, and the reference's bytes, which are at least as many
    ///   as the scalar's; nil where it is none that is known and valid.
    static func scalar(at index: Int, in comment: CommentBytes) -> (scalar: UInt32, bytes: Int)? {
        if comment.byte(index + 1) == UInt8(ascii: "#") {
            let isHexadecimal = comment.byte(index + 2) | 0x20 == UInt8(ascii: "x")
            return number(from: index + (isHexadecimal ? 3 : 2), radix: isHexadecimal ? 16 : 10, in: comment).map {
                ($0.scalar, $0.end - index)
            }
        }
        var name: UInt64 = 0
        for place in index + 1..<index + 2 + nameBytesMax {
            let byte = comment.byte(place)
            if byte == UInt8(ascii: ";") { return named[name].map { ($0, place + 1 - index) } }
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                name = name << 8 | UInt64(byte)
            default: return nil
            }
        }
        return nil
    }

    private static func number(
        from begin: Int, radix: UInt32, in comment: CommentBytes
    ) -> (scalar: UInt32, end: Int)? {
        var value: UInt32 = 0
        for place in begin..<begin + 8 {
            let byte = comment.byte(place)
            let digit: UInt32
            switch byte {
            case UInt8(ascii: ";"):
                // Zero, controls of ISO 8859 and surrogates stand for nothing.
                let isValid = value != 0 && !(0x80...0x9F).contains(value) && Unicode.Scalar(value) != nil
                return isValid && place > begin ? (value, place + 1) : nil
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = UInt32(byte - UInt8(ascii: "a")) + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = UInt32(byte - UInt8(ascii: "A")) + 10
            default: return nil
            }
            guard digit < radix else { return nil }
            value = value * radix + digit
        }
        return nil
    }

    /// By the bytes of the name, the last of them lowest.
    private static let named: [UInt64: UInt32] = {
        // In the order of their scalars from the given one on (HTML 4.01, section 24).
        let runs: [(UInt32, String)] = [
            (
                0xA0,
                """
                nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 \
                acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml \
                Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc \
                Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml \
                aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc \
                otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml
                """
            ),
            (
                0x391,
                """
                Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi Rho - Sigma Tau \
                Upsilon Phi Chi Psi Omega
                """
            ),
            (
                0x3B1,
                """
                alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau \
                upsilon phi chi psi omega
                """
            ),
            (0x2190, "larr uarr rarr darr harr"), (0x200C, "zwnj zwj lrm rlm"), (0x2013, "ndash mdash"),
            (0x2018, "lsquo rsquo sbquo"), (0x201C, "ldquo rdquo bdquo"), (0x2020, "dagger Dagger bull"),
            (0x2032, "prime Prime"), (0x2039, "lsaquo rsaquo"), (0x2264, "le ge"), (0x22, "quot"), (0x26, "amp apos"),
            (0x3C, "lt"), (0x3E, "gt"), (0x152, "OElig oelig"), (0x160, "Scaron scaron"), (0x178, "Yuml"),
            (0x2002, "ensp emsp"), (0x2009, "thinsp"), (0x2026, "hellip"), (0x2030, "permil"), (0x20AC, "euro"),
            (0x2122, "trade"), (0x2212, "minus"), (0x221E, "infin"), (0x2248, "asymp"), (0x2260, "ne"),
        ]
        var named: [UInt64: UInt32] = [:]
        for (first, names) in runs {
            for (offset, name) in names.split(separator: " ").enumerated() where name != "-" {
                named[name.utf8.reduce(0) { $0 << 8 | UInt64($1) }] = first + UInt32(offset)
            }
        }
        return named
    }()
}
