package import Bytes
package import Logic

/// Documents that are written one by one over HTTP: `POST`, `PUT` and `DELETE /documents`.
package struct DocumentsDeclaration: ConnectorMembers {
    /// How many documents a second are taken; nil for any number.
    package let documentsPerSecond: Int?

    package init(documentsPerSecond: Int? = nil) { self.documentsPerSecond = documentsPerSecond }

    init?(_ reader: DeclarationReader) {
        guard let members = reader.members(required: ["type"], optional: ["documents_per_second"]) else { return nil }
        var rate: Int?
        if let member = members["documents_per_second"] {
            rate = member.integer(WebhookDeclaration.documentsPerSecondBounds).map { Int($0) }
            guard rate != nil else { return nil }
        }
        self.init(documentsPerSecond: rate)
    }

    package var place: String { "POST /documents" }

    package func write(to json: inout JSONWriter) {
        if let documentsPerSecond { json.integer("documents_per_second", documentsPerSecond) }
    }

    package func refusal(of logic: LogicSettings) -> String? {
        guard case .document(let settings) = logic else {
            return "the connector \"documents\" goes with the logic \"document\""
        }
        guard settings.envelope != nil else { return nil }
        return "the connector \"documents\" takes documents as they are; \"envelope\" goes with \"postgres\" and "
            + "\"none\""
    }
}
