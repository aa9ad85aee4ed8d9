package import Bytes
package import Logic

/// An event stream.
package struct ServerSentEventsDeclaration: ConnectorMembers {
    /// `http:` or `https:`; may hold secrets.
    package let url: SecretURL

    package init(url: SecretURL) { self.url = url }

    init?(_ reader: DeclarationReader) {
        guard let url = reader.members(required: ["type", "url"])?["url"]?.url() else { return nil }
        self.init(url: SecretURL(url))
    }

    package static func == (left: Self, right: Self) -> Bool { left.url.revealed == right.url.revealed }

    // As it prints itself: without secrets.
    package var place: String { "\(url)" }

    package func write(to json: inout JSONWriter) { json.string("url", "\(url)") }

    package func refusal(of logic: LogicSettings.Kind) -> String? {
        guard logic != .recentChange else { return nil }
        return
            "the connector \"sse\" goes with the logic \"recent_change\"; for a stream of documents let another program "
            + "fill the topic and use the connector \"none\""
    }
}

extension DeclarationReader {
    /// An address of an event stream.
    fileprivate func url() -> String? {
        guard let text = text(bytesMax: 4_096) else { return nil }
        let scheme = ["http://", "https://"].first { text.hasPrefix($0) }
        guard let scheme, let first = text.dropFirst(scheme.count).utf8.first, first != UInt8(ascii: "/"),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            // Not repeated: there may be a secret in it.
            fault("must be an address that begins with http:// or https:// and a host, without blanks")
            return nil
        }
        return text
    }
}
