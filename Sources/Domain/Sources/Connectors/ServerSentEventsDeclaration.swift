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

    package func refusal(of logic: LogicSettings) -> String? {
        guard logic.kind != .recentChange else { return nil }
        return
            "the connector \"sse\" goes with the logic \"recent_change\"; for a stream of documents let another program "
            + "fill the topic and use the connector \"none\""
    }
}
