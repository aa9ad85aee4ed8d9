import Bytes

/// The JSON of an invented change, keys in the order of real events (as of 2026).
extension ChangeDraft {
    mutating func write(to writer: inout JSONWriter) {
        let uri = "https://\(site.domain)/wiki/\(WikiText.pathEncoded(title))"
        let recentChangeID = 2_000_000_000 + index * 3 + roll(3)
        let newRevision = 1_340_000_000 + index * 2 + roll(2)
        let oldRevision = newRevision - 1 - roll(90_000_000)
        writer.beginObject()
        writer.key("$schema")
        writer.string("/mediawiki/recentchange/1.0.0")
        writeMeta(uri: uri, stream: .recentChange, to: &writer)
        // Abuse filter hits have no id of their own.
        if log?.type != "abusefilter" {
            writer.key("id")
            writer.integer(recentChangeID)
        }
        writer.key("type")
        writer.string(type)
        writer.key("namespace")
        writer.integer(namespace)
        writer.key("title")
        writer.string(title)
        writer.key("title_url")
        writer.string(uri)
        writer.key("comment")
        writer.string(comment)
        writer.key("timestamp")
        // Half of the changes reach the stream within their second, one in a hundred after four.
        writer.integer(time / 1_000 - Int64(chance(70) ? 0 : chance(95) ? roll(3) : roll(14)))
        writer.key("user")
        writer.string(user)
        writer.key("bot")
        writer.bool(isBot)
        switch type {
        case "edit", "new":
            writeRevision(old: type == "edit" ? oldRevision : nil, new: newRevision, id: recentChangeID, to: &writer)
        case "log": writeLog(to: &writer)
        default: break
        }
        writer.key("server_url")
        writer.string("https://\(site.domain)")
        writer.key("server_name")
        writer.string(site.domain)
        writer.key("server_script_path")
        writer.string("/w")
        writer.key("wiki")
        writer.string(site.database)
        writer.key("parsedcomment")
        writer.string(WikiText.parsed(comment))
        writer.endObject()
    }

    mutating func writeMeta(uri: String, stream: SimulatedStream, to writer: inout JSONWriter) {
        writer.key("meta")
        writer.beginObject()
        writer.key("uri")
        writer.string(uri)
        writer.key("request_id")
        writer.string(UUIDText.string(&random))
        writer.key("id")
        writer.string(UUIDText.string(&random))
        writer.key("domain")
        writer.string(site.domain)
        writer.key("stream")
        writer.string(stream.name)
        writer.key("dt")
        writer.string(CivilTime.rfc3339(time))
        writer.key("topic")
        writer.string("\(isCodfw ? "codfw" : "eqiad").\(stream.name)")
        writer.key("partition")
        writer.integer(0)
        writer.key("offset")
        writer.integer(offset)
        writer.endObject()
    }

    private mutating func writeRevision(old: Int?, new: Int, id: Int, to writer: inout JSONWriter) {
        let isMinor = chance(35)
        let oldLength = 200 + roll(60_000)
        let delta = roll(100) < 15 ? roll(4_000) - 1_200 : roll(160) - 40
        writer.key("notify_url")
        writer.string(
            "https://\(site.domain)/w/index.php?" + (old.map { "diff=\(new)&oldid=\($0)" } ?? "oldid=\(new)&rcid=\(id)")
        )
        writer.key("minor")
        writer.bool(isMinor)
        if chance(55) {
            writer.key("patrolled")
            writer.bool(isBot || chance(60))
        }
        writer.key("length")
        writer.beginObject()
        if old != nil {
            writer.key("old")
            writer.integer(oldLength)
        }
        writer.key("new")
        writer.integer(old == nil ? 40 + roll(6_000) : max(0, oldLength + delta))
        writer.endObject()
        writer.key("revision")
        writer.beginObject()
        if let old {
            writer.key("old")
            writer.integer(old)
        }
        writer.key("new")
        writer.integer(new)
        writer.endObject()
    }

    private mutating func writeLog(to writer: inout JSONWriter) {
        guard let log else { return }
        writer.key("log_id")
        writer.integer(log.type == "abusefilter" ? 0 : 109_000_000 + index)
        writer.key("log_type")
        writer.string(log.type)
        writer.key("log_action")
        writer.string(log.action)
        writer.key("log_params")
        if log.type == "abusefilter" {
            writer.beginObject()
            writer.key("action")
            writer.string("edit")
            writer.key("filter")
            writer.string("\(roll(900) + 1)")
            writer.key("actions")
            writer.string(chance(50) ? "tag" : "")
            writer.key("log")
            writer.integer(3_000_000 + roll(30_000_000))
            writer.endObject()
        } else {
            writer.beginArray()
            writer.endArray()
        }
        writer.key("log_action_comment")
        writer.string("\(log.action) &quot;[[\(WikiText.escaped(title))]]&quot;: \(WikiText.escaped(comment))")
    }
}

/// What MediaWiki makes of titles and summaries.
enum WikiText {
    /// A title as it stands in a page's address: blanks as `_`, UTF-8 percent-encoded but for MediaWiki's exceptions.
    static func pathEncoded(_ title: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(title.utf8.count * 2)
        for byte in title.utf8 {
            switch byte {
            case 0x20: bytes.append(UInt8(ascii: "_"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                bytes.append(byte)
            case _ where Self.isKept[Int(byte)]: bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(upperHex[Int(byte >> 4)])
                bytes.append(upperHex[Int(byte & 15)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let upperHex = Array("0123456789ABCDEF".utf8)
    private static let isKept: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for byte in "-_.;@$!*(),/~:".utf8 { table[Int(byte)] = true }
        return table
    }()

    static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x26 || $0 == 0x3C || $0 == 0x3E || $0 == 0x22 || $0 == 0x27 }) else {
            return text
        }
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x26: bytes.append(contentsOf: "&amp;".utf8)
            case 0x3C: bytes.append(contentsOf: "&lt;".utf8)
            case 0x3E: bytes.append(contentsOf: "&gt;".utf8)
            case 0x22: bytes.append(contentsOf: "&quot;".utf8)
            case 0x27: bytes.append(contentsOf: "&#039;".utf8)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The summary as HTML: its section as a span, the rest escaped.
    static func parsed(_ comment: String) -> String {
        guard comment.hasPrefix("/* "), let end = comment.firstRange(of: " */") else { return escaped(comment) }
        let section = comment[comment.index(comment.startIndex, offsetBy: 3)..<end.lowerBound]
        return
            "<span class=\"autocomment\">\(escaped(String(section)))</span>\(escaped(String(comment[end.upperBound...])))"
    }
}
