package import Bytes
package import Logic

/// An event stream.
package struct ServerSentEventsDeclaration: ConnectorMembers {
    /// `http:` or `https:`; may hold secrets.
    package let url: SecretURL
    /// Where in an event's object its id stands, by which copies are known; nil where nothing is declared. Of documents alone, as
    /// are the others.
    package let eventID: FieldPath?
    /// Where its time stands, for what shows how late events are.
    package let eventTime: FieldPath?
    /// Where its record's key stands.
    package let key: FieldPath?

    package init(
        url: SecretURL, eventID: FieldPath? = nil, eventTime: FieldPath? = nil, key: FieldPath? = nil
    ) {
        self.url = url
        self.eventID = eventID
        self.eventTime = eventTime
        self.key = key
    }

    init?(_ reader: DeclarationReader) {
        guard
            let members = reader.members(
                required: ["type", "url"], optional: ["event_id", "event_time", "key"])
        else { return nil }
        let before = reader.faults.all.count
        let (eventID, eventTime) = (members["event_id"]?.path(), members["event_time"]?.path())
        let key = members["key"]?.path()
        guard let url = members["url"]?.url(), reader.faults.all.count == before else { return nil }
        self.init(url: SecretURL(url), eventID: eventID, eventTime: eventTime, key: key)
    }

    /// The same stream at another address.
    package func at(_ url: SecretURL) -> ServerSentEventsDeclaration {
        ServerSentEventsDeclaration(url: url, eventID: eventID, eventTime: eventTime, key: key)
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.url.revealed == right.url.revealed && left.eventID == right.eventID && left.eventTime == right.eventTime
            && left.key == right.key
    }

    // As it prints itself: without secrets.
    package var place: String { "\(url)" }

    package func write(to json: inout JSONWriter) {
        json.string("url", "\(url)")
        if let eventID { json.string("event_id", eventID.text) }
        if let eventTime { json.string("event_time", eventTime.text) }
        if let key { json.string("key", key.text) }
    }

    package func refusal(of logic: LogicSettings) -> String? {
        switch logic {
        case .recentChange:
            guard eventID != nil || eventTime != nil || key != nil else { return nil }
            return
                "the connector \"sse\" takes event_id, event_time and key with the logic \"document\": where they stand in "
                + "a recent change is known, so leave them out"
        case .document(let settings):
            // Each version but the first would count as a copy of it.
            if let eventID, eventID == settings.mapping.id, settings.mapping.version != nil {
                return
                    "event_id is the place of the document's id, \(eventID), and documents have versions: those behind the "
                    + "first would be left out as copies of it. Name a place that is another for each event, or leave "
                    + "event_id out"
            }
            guard settings.envelope != nil else { return nil }
            return
                "the connector \"sse\" takes documents as they are; \"envelope\" goes with \"postgres\" and \"none\""
        }
    }
}
