/// Declarations as people write them, right and wrong.
enum Declarations {
    static let files = #"{"type":"files","folder":"/data/products"}"#
    static let document = #"{"type":"document","fields":{"id":"sku","text":"body"}}"#
    static let change = #"{"type":"recent_change"}"#

    static func source(
        _ name: String = "products", connector: String = files, logic: String = document, more: String = ""
    ) -> String {
        #"{"name":"\#(name)","connector":\#(connector),"logic":\#(logic)\#(more.isEmpty ? "" : "," + more)}"#
    }

    static let debezium =
        #"{"type":"document","envelope":"debezium","fields":{"id":"sku","text":"body","version":"@source.order"}}"#
    static func postgres(_ more: String = "", dsn: String = "postgresql://reader@db:5432/shop?sslmode=require")
        -> String
    {
        #"{"type":"postgres","dsn":"\#(dsn)","table":"articles"\#(more)}"#
    }

    static func file(_ sources: String...) -> String { #"{"sources":[\#(sources.joined(separator: ","))]}"# }

    private static func logic(_ fields: String, _ more: String = "") -> String {
        #"{"type":"document","fields":\#(fields)\#(more)}"#
    }

    static func staged(_ members: String) -> String { logic(#"{"id":"sku","text":"body"}"#, "," + members) }

    /// What no stage may be, each with the place within `logic`.
    private static let stageFaults: [(members: String, place: String)] = [
        (#""text_characters_min":-1"#, "text_characters_min"), (#""text_characters_min":"9""#, "text_characters_min"),
        (#""text_characters_min":10001"#, "text_characters_min"),
        (#""text_characters_min":1.5"#, "text_characters_min"),
        (#""text_characters_min":null"#, "text_characters_min"),
        (#""near_duplicates_offsets":-1"#, "near_duplicates_offsets"),
        (#""near_duplicates_offsets":"9""#, "near_duplicates_offsets"),
        (#""near_duplicates_offsets":9,"near_duplicates_milliseconds":-1"#, "near_duplicates_milliseconds"),
        (#""near_duplicates_offsets":9,"near_duplicates_milliseconds":31536000001"#, "near_duplicates_milliseconds"),
        (#""near_duplicates_offsets":9,"near_duplicates_distance":-1"#, "near_duplicates_distance"),
        (#""near_duplicates_offsets":9,"near_duplicates_distance":"1""#, "near_duplicates_distance"),
        (#""detects_language":"true""#, "detects_language"), (#""detects_language":null"#, "detects_language"),
        (#""reputation":-1"#, "reputation"), (#""reputation":true"#, "reputation"),
        (#""reputation":null"#, "reputation"),
        (#""passes_over":"a""#, "passes_over"), (#""passes_over":null"#, "passes_over"),
        (#""passes_over":{"":1}"#, "passes_over."), (#""passes_over":{"a":"b\u0000"}"#, "passes_over.a"),
        (#""near_duplicates_offsets":500001"#, "near_duplicates_offsets"),
        (#""near_duplicates_offsets":1.5"#, "near_duplicates_offsets"),
        (#""near_duplicates_milliseconds":5"#, "near_duplicates_milliseconds"),
        (#""near_duplicates_distance":1"#, "near_duplicates_distance"),
        (#""near_duplicates_offsets":9,"near_duplicates_distance":4"#, "near_duplicates_distance"),
        (#""near_duplicates_offsets":9,"near_duplicates_milliseconds":null"#, "near_duplicates_milliseconds"),
        (#""detects_language":1"#, "detects_language"), (#""reputation":0"#, "reputation"),
        (#""reputation":10.5"#, "reputation"), (#""reputation":"high""#, "reputation"),
        (#""passes_over":["meta.domain"]"#, "passes_over"), (#""passes_over":{"a..b":"c"}"#, "passes_over.a..b"),
        (#""passes_over":{"a":""}"#, "passes_over.a"), (#""passes_over":{"a":null}"#, "passes_over.a"),
        (#""passes_over":{"a":[1]}"#, "passes_over.a"), (#""passes_over":{"a":1.5}"#, "passes_over.a"),
        (
            #""passes_over":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}"#, "passes_over"
        ),
    ]

    /// Streams and stages that are refused.
    private static let refusedStreams: [(text: String, place: String)] = [
        (
            file(source(connector: #"{"type":"sse","url":"http://h","event_id":"meta..id"}"#)),
            "sources[0].connector.event_id"
        ),
        (
            file(source(connector: #"{"type":"sse","url":"http://h","event_time":5}"#)),
            "sources[0].connector.event_time"
        ),
        (
            file(
                source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","detects_language":true}"#)),
            "sources[0].logic"
        ),
        (
            file(
                source(
                    connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","near_duplicates_distance":1}"#)),
            "sources[0].logic.near_duplicates_distance"
        ),
        (file(source(logic: staged(#""text_character_min":5"#))), "sources[0].logic"),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","passes_over":{"a":1}}"#)),
            "sources[0].logic"
        ),
        (file(source(connector: #"{"type":"sse","url":"http://h","key":""}"#)), "sources[0].connector.key"),
        (file(source(connector: #"{"type":"sse","url":"http://h","id":"a"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"sse","url":"http://h","key":"a"}"#, logic: change)), "sources[0]"),
        (file(source(connector: #"{"type":"sse","url":"http://h"}"#, logic: debezium)), "sources[0]"),
        (
            file(
                source(
                    connector: #"{"type":"none"}"#,
                    logic: debezium.replacing(#""document","#, with: #""document","passes_over":{"a":1},"#))),
            "sources[0].logic.passes_over"
        ),
    ]

    private static var refusedStages: [(text: String, place: String)] {
        stageFaults.map { fault in
            (text: file(source(logic: staged(fault.members))), place: "sources[0].logic.\(fault.place)")
        }
    }

    /// Refused by parser and schema alike, with the place that the parser names.
    static let refused: [(text: String, place: String)] = refusedMembers + refusedStages + refusedStreams

    private static func attributes(_ text: String) -> String {
        source(more: #""collection":{"attributes":\#(text)}"#)
    }

    static let accepted: [String] = [
        file(source()),
        #"{"$schema":"./schemas/sources.schema.json","sources":[\#(source())]}"#,
        file(source("a"), source("b")),
        file(source("a"), source("b", more: #""tenant":"t","collection":{"name":"a"}"#)),
        file(
            source(
                "a", more: #""tenant":"t","topic":"x","gold_topic":"y","collection":{"name":"c","retention_days":30}"#)),
        file(source(connector: #"{"type":"none"}"#)),
        file(source(connector: #"{"type":"webhook"}"#)),
        file(
            source(connector: #"{"type":"webhook","secret_file":"secrets/hook","documents_per_second":100}"#),
            source("b", connector: #"{"type":"documents","documents_per_second":1}"#)),
        file(source(connector: postgres(), logic: debezium)),
        file(
            source(
                connector: postgres(
                    #","slot":"s_1","publication":"p","snapshot":31,"tombstones":false,"password_env":"SHOP_PASSWORD""#,
                    dsn: "host=db dbname=shop user=reader"), logic: debezium)),
        file(source(connector: postgres(#","password_file":"secrets/shop""#), logic: debezium)),
        file(source(connector: #"{"type":"none"}"#, logic: debezium)),
        file(
            source(
                connector: #"{"type":"none"}"#,
                logic: #"{"type":"document","envelope":"debezium","fields":{"id":"sku","text":"body"}}"#)),
        file(source(connector: #"{"type":"none"}"#, logic: change)),
        file(source(connector: #"{"type":"sse","url":"https://h/s?x=1"}"#, logic: change)),
        file(source(connector: #"{"type":"sse","url":"https://h/s"}"#)),
        file(
            source(
                connector: #"{"type":"sse","url":"https://h/s","event_id":"meta.id"}"#,
                logic: logic(#"{"id":"meta.id","text":"b"}"#))),
        file(
            source(
                connector: #"{"type":"none"}"#,
                logic:
                    #"{"type":"recent_change","text_characters_min":5,"near_duplicates_offsets":9,"near_duplicates_distance":1,"reputation":0.25}"#
            )),
        file(
            source(
                connector:
                    #"{"type":"sse","url":"https://h/s","event_id":"meta.id","event_time":"meta.dt","key":"page"}"#,
                logic: staged(
                    #""passes_over":{"meta.domain":"canary","bot":true,"n":7},"text_characters_min":20,"near_duplicates_offsets":500000,"near_duplicates_milliseconds":1,"near_duplicates_distance":0,"detects_language":true,"reputation":0.1"#
                ))),
        file(
            source(
                logic: staged(
                    #""text_characters_min":0,"near_duplicates_offsets":0,"detects_language":false,"reputation":10"#))),
        file(
            source(
                connector:
                    #"{"type":"files","folder":"data","poll_seconds":0.5,"settle_seconds":1,"line_bytes_max":1024,"#
                    + #""files_max":1,"formats":["csv","text"]}"#
            )),
        file(
            source(
                connector: #"{"type":"none"}"#,
                logic:
                    #"{"type":"recent_change","code_version":2,"template":"{title}","wikis":["enwiki"],"types":["edit"],"namespaces":[0,-1],"drops_bots":true,"content_characters_max":50,"duplicates_offsets":0,"duplicates_milliseconds":1}"#
            )),
        file(
            source(
                logic: logic(
                    #"{"id":"a.b","version":"v","title":"t","text":["t","b"],"url":"u","lang":"l","time":"d","deleted":"x","truncated":"y.z"}"#,
                    #","code_version":1,"content_characters_max":100000,"duplicates_offsets":5,"duplicates_milliseconds":5,"passage_weight_max":100,"passage_overlap":20"#
                ))),
        file(
            attributes(
                #"{"price":{"type":"number","path":"price.amount","filter":false},"in_stock":{"type":"bool"},"made":{"type":"time"},"n":{"type":"integer"},"s":{"type":"string"}}"#
            )),
    ]

    private static let refusedMembers: [(text: String, place: String)] = [
        ("[]", "the file"), ("{}", "the file"), (#"{"sources":[]}"#, "sources"), (#"{"sources":{}}"#, "sources"),
        (#"{"sources":[\#(source())],"source":1}"#, "the file"),
        (file("1"), "sources[0]"), (file("{}"), "sources[0]"),
        (file(source("")), "sources[0].name"), (file(source("a b")), "sources[0].name"),
        (file(source("..")), "sources[0].name"), (file(source("ü")), "sources[0].name"),
        (file(source(String(repeating: "a", count: 250))), "sources[0].name"),
        (file(source("a"), source(more: #""extra":1"#)), "sources[1]"),
        (file(source(more: #""tenant":"""#)), "sources[0].tenant"),
        (file(source(more: #""topic":"a/b""#)), "sources[0].topic"),
        (file(source(more: #""gold_topic":7"#)), "sources[0].gold_topic"),
        (file(source(connector: "{}")), "sources[0].connector"),
        (file(source(connector: #"{"type":"ftp"}"#)), "sources[0].connector.type"),
        (file(source(connector: #"{"type":"files"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"none","folder":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"webhook"}"#, logic: change)), "sources[0]"),
        (file(source(connector: #"{"type":"documents"}"#, logic: change)), "sources[0]"),
        (file(source(connector: #"{"type":"webhook","secret":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"documents","secret_file":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"webhook","secret_file":""}"#)), "sources[0].connector.secret_file"),
        (file(source(connector: #"{"type":"webhook","secret_file":"a/../b"}"#)), "sources[0].connector.secret_file"),
        (file(source(connector: #"{"type":"webhook","secret_file":"a/"}"#)), "sources[0].connector.secret_file"),
        (
            file(source(connector: #"{"type":"webhook","documents_per_second":0}"#)),
            "sources[0].connector.documents_per_second"
        ),
        (
            file(source(connector: #"{"type":"documents","documents_per_second":1.5}"#)),
            "sources[0].connector.documents_per_second"
        ),
        (file(source(connector: #"{"type":"files","folder":""}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":"/"}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":"a/../b"}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":".."}"#)), "sources[0].connector.folder"),
        (
            file(source(connector: #"{"type":"files","folder":"a","poll_seconds":0}"#)),
            "sources[0].connector.poll_seconds"
        ),
        (file(source(connector: #"{"type":"files","folder":"a","files_max":1.5}"#)), "sources[0].connector.files_max"),
        (file(source(connector: #"{"type":"files","folder":"a","formats":[]}"#)), "sources[0].connector.formats"),
        (
            file(source(connector: #"{"type":"files","folder":"a","formats":["pdf"]}"#)),
            "sources[0].connector.formats[0]"
        ),
        (
            file(source(connector: #"{"type":"files","folder":"a","line_bytes_max":2000000}"#)),
            "sources[0].connector.line_bytes_max"
        ),
        (file(source(connector: #"{"type":"sse","url":"ftp://h"}"#, logic: change)), "sources[0].connector.url"),
        (file(source(connector: #"{"type":"sse","url":"http:///x"}"#, logic: change)), "sources[0].connector.url"),
        (file(source(logic: change)), "sources[0]"),
        (file(source(logic: debezium)), "sources[0]"),
        (file(source(connector: postgres())), "sources[0]"),
        (file(source(connector: postgres(), logic: change)), "sources[0]"),
        (
            file(
                source(
                    connector: postgres(),
                    logic:
                        #"{"type":"document","envelope":"debezium","fields":{"id":"sku","text":"body","version":"@source.lsn"}}"#
                )), "sources[0]"
        ),
        (
            file(source(connector: #"{"type":"none"}"#, logic: debezium.replacing("@source.order", with: "revision"))),
            "sources[0].logic.fields.version"
        ),
        (
            file(
                source(
                    connector: #"{"type":"none"}"#,
                    logic: debezium.replacing(#""id":"sku""#, with: #""id":"sku","truncated":"gone""#))),
            "sources[0].logic.fields.truncated"
        ),
        (
            file(
                source(connector: #"{"type":"none"}"#, logic: debezium.replacing(#""debezium""#, with: #""maxwell""#))),
            "sources[0].logic.envelope"
        ),
        (file(source(connector: #"{"type":"postgres","dsn":"host=db"}"#, logic: debezium)), "sources[0].connector"),
        (file(source(connector: postgres(dsn: "db"), logic: debezium)), "sources[0].connector.dsn"),
        (file(source(connector: postgres(dsn: "host=db pass\u{e4}=x"), logic: debezium)), "sources[0].connector.dsn"),
        (
            file(source(connector: postgres(dsn: "host=db password=hideme"), logic: debezium)),
            "sources[0].connector.dsn"
        ),
        (
            file(source(connector: postgres(dsn: "postgres://reader:hideme@db/shop"), logic: debezium)),
            "sources[0].connector.dsn"
        ),
        (
            file(source(connector: postgres(dsn: "postgres://reader@db/shop?sslPassword=hideme"), logic: debezium)),
            "sources[0].connector.dsn"
        ),
        (
            file(source(connector: postgres(#","slot":"Slot""#), logic: debezium)), "sources[0].connector.slot"
        ),
        (
            file(source(connector: postgres(#","publication":"""#), logic: debezium)),
            "sources[0].connector.publication"
        ),
        (file(source(connector: postgres(#","snapshot":0"#), logic: debezium)), "sources[0].connector.snapshot"),
        (file(source(connector: postgres(#","tombstones":1"#), logic: debezium)), "sources[0].connector.tombstones"),
        (file(source(connector: postgres(#","snapshot":32"#), logic: debezium)), "sources[0].connector.snapshot"),
        (
            file(source(connector: postgres(#","password_env":"A=B""#), logic: debezium)),
            "sources[0].connector.password_env"
        ),
        (
            file(source(connector: postgres(#","password_env":"A","password_file":"b""#), logic: debezium)),
            "sources[0].connector.password_file"
        ),
        (
            file(
                source(connector: #"{"type":"postgres","dsn":"host=db","table":"a.b.c"}"#, logic: debezium)),
            "sources[0].connector.table"
        ),
        (
            file(source(connector: #"{"type":"postgres","dsn":"host=db","table":"a b"}"#, logic: debezium)),
            "sources[0].connector.table"
        ),
        (file(source(logic: "7")), "sources[0].logic"), (file(source(logic: "{}")), "sources[0].logic"),
        (file(source(logic: #"{"type":"row"}"#)), "sources[0].logic.type"),
        (file(source(logic: #"{"type":"document"}"#)), "sources[0].logic"),
        (file(source(logic: logic(#"{"id":"a"}"#))), "sources[0].logic.fields"),
        (file(source(logic: logic(#"{"id":"a","text":[]}"#))), "sources[0].logic.fields.text"),
        (file(source(logic: logic(#"{"id":"a.","text":"b"}"#))), "sources[0].logic.fields.id"),
        (file(source(logic: logic(#"{"id":"a.b.c.d.e.f.g.h.i","text":"b"}"#))), "sources[0].logic.fields.id"),
        (file(source(logic: logic(#"{"id":"a","text":"b","name":"c"}"#))), "sources[0].logic.fields"),
        // Offsets of several topic partitions tell nothing of what is older.
        (file(source(logic: logic(#"{"id":"a","text":"b","truncated":"c"}"#))), "sources[0].logic.fields"),
        (
            file(source(logic: logic(#"{"id":"a","text":"b","version":"v","truncated":true}"#))),
            "sources[0].logic.fields.truncated"
        ),
        (
            file(source(logic: logic(#"{"id":"a","text":"b"}"#, #","content_characters_max":49"#))),
            "sources[0].logic.content_characters_max"
        ),
        (file(source(logic: logic(#"{"id":"a","text":"b"}"#, #","code_version":2"#))), "sources[0].logic.code_version"),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","wikis":[""]}"#)),
            "sources[0].logic.wikis[0]"
        ),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","namespaces":["0"]}"#)),
            "sources[0].logic.namespaces[0]"
        ),
        (file(attributes(#"{"Price":{"type":"number"}}"#)), "sources[0].collection.attributes.Price"),
        (file(attributes(#"{"price":{"type":"money"}}"#)), "sources[0].collection.attributes.price.type"),
        (file(attributes(#"{"price":{}}"#)), "sources[0].collection.attributes.price"),
        (file(attributes(#"{"lang":{"type":"string"}}"#)), "sources[0].collection.attributes.lang"),
        (
            file(attributes(#"{"price":{"type":"number","filter":1}}"#)),
            "sources[0].collection.attributes.price.filter"
        ),
        (
            file(
                source(
                    connector: #"{"type":"none"}"#, logic: change,
                    more: #""collection":{"attributes":{"a":{"type":"bool"}}}"#)),
            "sources[0].collection.attributes"
        ),
    ]

    /// What only the parser can say.
    static let refusedByParser: [(text: String, place: String)] = [
        ("{", "the file"), (#"{"sources":[\#(source())],"sources":[\#(source())]}"#, "the file"),
        (file(source("a"), source("a", more: #""topic":"x","collection":{"name":"c"}"#)), "sources[1].name"),
        (file(source("a"), source("b", more: #""topic":"a""#)), "sources[1].topic"),
        (file(source("a"), source("b", more: #""topic":"a.gold""#)), "sources[1].topic"),
        (file(source("a", more: #""gold_topic":"a""#)), "sources[0].gold_topic"),
        (file(source("a"), source("b", more: #""collection":{"name":"a"}"#)), "sources[1].collection"),
        (
            file(
                source("a", more: #""tenant":"t""#), source("b", more: #""tenant":"t","collection":{"name":"a"}"#)),
            "sources[1].collection"
        ),
        (file(source(String(repeating: "a", count: 248))), "sources[0]"),
        (file(source(logic: staged(#""passes_over":{"a":1,"a":2}"#))), "sources[0].logic.passes_over"),
        (
            file(source(logic: staged(#""passes_over":{"a":"\#(String(repeating: "ü", count: 200))"}"#))),
            "sources[0].logic.passes_over.a"
        ),
        (
            file(
                source(
                    connector: #"{"type":"sse","url":"http://h","event_id":"meta.id"}"#,
                    logic: logic(#"{"id":"meta.id","version":"rev","text":"b"}"#))),
            "sources[0]"
        ),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","template":"{x}"}"#)),
            "sources[0].logic.template"
        ),
        (
            file(source(logic: logic(#"{"id":"\#(String(repeating: "ü", count: 200))","text":"b"}"#))),
            "sources[0].logic.fields.id"
        ),
        (
            file(source(logic: logic(#"{"id":"a","text":"b","version":"v","truncated":"deleted"}"#))),
            "sources[0].logic.fields.truncated"
        ),
    ]
}
