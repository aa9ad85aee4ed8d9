import JSONScan
import Records
import Testing

@testable import Logic

/// Changes of a table of customers, put together from Debezium's documentation of its connector for Postgres
/// (https://debezium.io/documentation/reference/stable/connectors/postgresql.html).
enum DebeziumMessage {
    static let source =
        #"{"version":"3.0.0.Final","connector":"postgresql","name":"server1","ts_ms":1559033904863,"snapshot":"SNAPSHOT","db":"shop","sequence":"[\"24023119\",\"24023128\"]","schema":"public","table":"customers","txId":555,"lsn":24023128,"xmin":null}"#
    static let anne =
        #"{"id":1,"first_name":"Anne","about":"Keeps bees.","active":true,"since":"2020-02-29T00:00:00Z"}"#
    static let anneMarie =
        #"{"id":1,"first_name":"Anne Marie","about":"Keeps bees.","active":false,"since":"2020-02-29T00:00:00Z"}"#
    static let key = #"{"id":1,"first_name":null,"about":null,"active":null,"since":null}"#
    /// What `schemas.enable` adds.
    static let schema =
        #"{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":true,"name":"server1.public.customers.Value","field":"before"},{"type":"string","optional":false,"field":"op"}],"optional":false,"name":"server1.public.customers.Envelope"}"#

    static func change(
        _ operation: String, before: String = "null", after: String = "null", snapshot: String = "false"
    ) -> String {
        #"{"before":\#(before),"after":\#(after),"source":\#(source.replacing("SNAPSHOT", with: snapshot)),"transaction":null,"op":"\#(operation)","ts_ms":1559033904961}"#
    }

    static func withSchema(_ change: String) -> String { #"{"schema":\#(schema),"payload":\#(change)}"# }

    /// An application's message of pg_logical_emit_message.
    static let message =
        #"{"op":"m","ts_ms":1559033904863,"source":\#(source),"message":{"prefix":"foo","content":"Ymfy"}}"#
}

/// Documents in Debezium's envelope.
@Suite struct EnvelopeTests {
    private func settings(version: String? = nil, time: String? = "since") throws -> DocumentSettings {
        let mapping = DocumentMapping(
            id: try Products.path("id"), version: try version.map { try Products.path($0) },
            title: try Products.path("first_name"), texts: [try Products.path("about")],
            time: try time.map { try Products.path($0) }, deleted: try Products.path("deleted"))
        let active = MappedAttribute(try #require(AttributeName("active")), .bool, at: try Products.path("active"))
        return DocumentSettings(envelope: .debezium, mapping: mapping, attributes: [active])
    }

    private static let whole: [(change: String, operation: String, title: String?)] = [
        (DebeziumMessage.change("c", after: DebeziumMessage.anne), "put", "Anne"),
        (DebeziumMessage.change("r", after: DebeziumMessage.anne, snapshot: "first"), "put", "Anne"),
        (DebeziumMessage.change("r", after: DebeziumMessage.anne, snapshot: "incremental"), "put", "Anne"),
        (
            DebeziumMessage.change("u", before: DebeziumMessage.anne, after: DebeziumMessage.anneMarie), "put",
            "Anne Marie"
        ),
        (DebeziumMessage.change("u", after: DebeziumMessage.anneMarie), "put", "Anne Marie"),
        (DebeziumMessage.change("d", before: DebeziumMessage.anne), "delete", nil),
        (DebeziumMessage.change("d", before: DebeziumMessage.key), "delete", nil),
    ]

    @Test("every operation, with its schema and without")
    func operations() throws {
        let driver = try LogicDriver(.document(settings()))
        for (offset, (change, operation, title)) in Self.whole.enumerated() {
            for text in [change, DebeziumMessage.withSchema(change)] {
                let gold = try #require(try driver.feed(text, offset: Int64(offset)), "\(text)")
                let line = try JSONValue.parse(Array(gold.line.utf8))
                #expect(gold.id == "1" && line["operation"]?.string == operation)
                #expect(line["version"]?.integer == Int64(offset) + 1 && line["title"]?.string ?? "" == title ?? "")
                #expect(title == nil || line["text"]?.string == "Keeps bees.")
                #expect(title == nil || line["event_time"]?.string == "2020-02-29T00:00:00.000Z")
            }
        }
        #expect(driver.lines.quarantineCount == 0 && driver.lines.passedOverCount == 0)
    }

    @Test("a truncation deletes what is older, where versions are declared, and is refused where they are not")
    func truncation() throws {
        let change = DebeziumMessage.change("t")
        let driver = try LogicDriver(.document(settings(version: "@source.lsn")))
        for text in [change, DebeziumMessage.withSchema(change)] {
            let gold = try #require(try driver.feed(text))
            let line = try JSONValue.parse(Array(gold.line.utf8))
            #expect(gold.id.isEmpty && line["operation"]?.string == "delete_below")
            #expect(line["version"]?.integer == 24_023_128)
        }
        let other = try LogicDriver(.document(settings()))
        #expect(try other.feed(change) == nil)
        #expect(other.lines.rejects == [.missingField: 1])
    }

    @Test("an application's message is about no document")
    func messages() throws {
        let driver = try LogicDriver(.document(settings()))
        for text in [DebeziumMessage.message, DebeziumMessage.withSchema(DebeziumMessage.message)] {
            #expect(try driver.feed(text) == nil)
        }
        #expect(driver.lines.passedOverCount == 2)
        #expect(driver.lines.silverCount == 0 && driver.lines.goldCount == 0 && driver.lines.quarantineCount == 0)
        driver.lines.removeAll()
        #expect(driver.lines.passedOverCount == 0)
    }

    @Test("places of the envelope: its version, and its time in milliseconds")
    func ownPlaces() throws {
        let driver = try LogicDriver(.document(settings(version: "@source.txId", time: "@source.ts_ms")))
        for text in Self.whole.flatMap({ [$0.change, DebeziumMessage.withSchema($0.change)] }) {
            let line = try JSONValue.parse(Array(try #require(try driver.feed(text)).line.utf8))
            #expect(line["version"]?.integer == 555 && line["event_time"]?.string == "2019-05-28T08:58:24.863Z")
        }
        let far = DebeziumMessage.change("c", after: DebeziumMessage.anne).replacing(
            #""ts_ms":1559033904863"#, with: #""ts_ms":999999999999999"#)
        #expect(try driver.feed(far) == nil && driver.lines.rejects == [.invalidEventTime: 1])
    }

    @Test("a large value that was not sent is not taken for the document's")
    func unavailable() throws {
        let unavailable = #""__debezium_unavailable_value""#
        for (old, path) in [
            (#""Keeps bees.""#, "about"), (#""Anne Marie""#, "first_name"), ("false", "active"),
            (#""2020-02-29T00:00:00Z""#, "since"),
        ] {
            let driver = try LogicDriver(.document(settings()))
            let row = DebeziumMessage.anneMarie.replacing(old, with: unavailable)
            for text in [DebeziumMessage.change("u", after: row)].flatMap({ [$0, DebeziumMessage.withSchema($0)] }) {
                #expect(try driver.feed(text) == nil)
            }
            #expect(driver.lines.rejects == [.valueUnavailable: 2])
            let lines = driver.lines.quarantine.split(separator: 0x0A)
            let first = try JSONValue.parse(Array(try #require(lines.first)))
            #expect(first["rule"]?.string == "value_unavailable" && first["detail"]?.string == path)
            #expect(first["reason"]?.string?.contains("REPLICA IDENTITY FULL") == true)
        }
        // What nobody maps may be missing.
        let driver = try LogicDriver(.document(settings()))
        let row = DebeziumMessage.anne.replacing("}", with: #","photo":\#(unavailable)}"#)
        #expect(try driver.feed(DebeziumMessage.change("u", after: row)) != nil)
        // Outside of an envelope it is a text like any other.
        let plain = try LogicDriver(.document(Products.settings(version: nil, time: nil)))
        #expect(try plain.feed(#"{"sku":"a","name":\#(unavailable)}"#) != nil)
    }

    @Test("a column of JSON that was not sent, or is a text, is not taken for one without members")
    func unavailableObject() throws {
        let body = try Products.path("data.deep.body")
        let price = MappedAttribute(try #require(AttributeName("price")), .number, at: try Products.path("data.price"))
        let mapping = DocumentMapping(
            id: try Products.path("id"), version: nil, title: nil, texts: [try Products.path("first_name"), body],
            time: nil, deleted: try Products.path("deleted"))
        let settings = DocumentSettings(envelope: .debezium, mapping: mapping, attributes: [price])
        let cases: [(data: String, rule: Rule?, detail: String?)] = [
            (#"{"deep":{"body":"x"},"price":2}"#, nil, nil), ("null", nil, nil), (#"{"deep":null}"#, nil, nil),
            (#""__debezium_unavailable_value""#, .valueUnavailable, "data"),
            (#"{"deep":"__debezium_unavailable_value"}"#, .valueUnavailable, "data.deep"),
            (#""{\"price\":2}""#, .wrongType, "data: a text, not an object"),
            (#"{"deep":"x"}"#, .wrongType, "data.deep: a text, not an object"),
        ]
        for (data, rule, detail) in cases {
            let driver = try LogicDriver(.document(settings))
            let change = DebeziumMessage.change("u", after: #"{"id":1,"first_name":"Anne","data":\#(data)}"#)
            for text in [change, DebeziumMessage.withSchema(change)] {
                #expect(try (driver.feed(text) == nil) == (rule != nil), "\(text)")
            }
            #expect(driver.lines.rejects == (rule.map { [$0: 2] } ?? [:]), "\(data)")
            guard let detail, let first = driver.lines.quarantine.split(separator: 0x0A).first else { continue }
            #expect(try JSONValue.parse(Array(first))["detail"]?.string == detail)
        }
    }

    @Test("what is no envelope, or not whole, is quarantined with its member")
    func malformed() throws {
        let cases: [(String, Rule, String)] = [
            ("{}", .missingField, "op"), (#"{"op":null}"#, .missingField, "op"), (#"{"op":7}"#, .wrongType, "op"),
            (#"{"op":"x"}"#, .wrongType, "op: none of c, u, r, d, t, m"),
            (#"{"op":""}"#, .wrongType, "op: none of c, u, r, d, t, m"),
            (#"{"op":"cc","after":{"id":1}}"#, .wrongType, "op: none of c, u, r, d, t, m"),
            (#"{"op":"c"}"#, .missingField, "after"), (#"{"op":"u","after":null}"#, .missingField, "after"),
            (#"{"op":"r","after":[1]}"#, .wrongType, "after"),
            (#"{"op":"d","after":{"id":1}}"#, .missingField, "before"),
            (#"{"op":"d","before":"x"}"#, .wrongType, "before"), (#"{"op":"d","before":{}}"#, .missingField, "id"),
            (#"{"op":"c","after":{"about":"x"}}"#, .missingField, "id"),
            (#"{"op":"c","after":{"id":1}}"#, .emptyText, "about"),
            (#"{"schema":null,"payload":null}"#, .missingField, "op"), (#"{"payload":{"op":5}}"#, .wrongType, "op"),
            (#"{"payload":{"op":"c","after":5}}"#, .wrongType, "after"), (#"{"payload":[]}"#, .missingField, "op"),
        ]
        for (text, rule, detail) in cases {
            let driver = try LogicDriver(.document(settings()))
            #expect(try driver.feed(text) == nil, "\(text)")
            #expect(driver.lines.rejects == [rule: 1], "\(text)")
            #expect(try JSONValue.parse(driver.lines.quarantine)["detail"]?.string == detail, "\(text)")
        }
    }

    @Test("a table's own columns `payload`, `op` and `deleted` are columns")
    func columnsOfTheSameNames() throws {
        let row = #"{"id":1,"about":"x","payload":{"op":"d"},"op":"d","source":{"lsn":1},"deleted":DELETED}"#
        let driver = try LogicDriver(.document(settings(version: "@source.lsn", time: nil)))
        for (deleted, operation) in [("false", "put"), ("true", "delete"), ("null", "put")] {
            let change = DebeziumMessage.change("c", after: row.replacing("DELETED", with: deleted))
            for text in [change, DebeziumMessage.withSchema(change)] {
                let line = try JSONValue.parse(Array(try #require(try driver.feed(text)).line.utf8))
                #expect(line["operation"]?.string == operation && line["version"]?.integer == 24_023_128)
            }
        }
    }
}
