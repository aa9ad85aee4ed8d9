import Files
import Glibc
import HTTPEndpoints
import Health
import JSONScan
import PlatformTesting
import SearchAPI
import Testing

/// The documented API and the real one are the same.
@Suite struct SchemaTests {
    private let document: JSONValue

    init() throws {
        document = try JSONValue.parse(File.contents(of: PackageRoot.path + "/schemas/openapi.json"))
    }

    /// `UPDATE_GOLDEN=1 swift test --filter SchemaTests` rewrites the document.
    @Test func theDocumentIsGenerated() throws {
        let fixture = APIFixture()
        let text = SearchAPI.openAPI(of: fixture.api.endpoints()).json.indented() + "\n"
        let path = PackageRoot.path + "/schemas/openapi.json"
        if getenv("UPDATE_GOLDEN").map({ String(cString: $0) }) == "1" {
            try File.replace(path, with: Array(text.utf8))
        }
        #expect(try File.contents(of: path) == Array(text.utf8))
    }

    @Test func theServedDocumentIsTheGenerated() async throws {
        let fixture = APIFixture()
        let (status, served) = await fixture.get(.document)
        #expect(status == 200)
        #expect(served == document)
    }

    /// Replies have the documented members, all of them, with the documented types, at every depth.
    @Test func repliesFitTheirSchemas() async throws {
        let fixture = APIFixture()
        fixture.fill()
        await fixture.health.checkAll()
        fixture.health.register("index", isRequired: true) { HealthReport(.ok, "x", detail: [("a", "b")]) }
        await fixture.health.checkAll()
        let question = #"{"query": "golden gate bridge towers", "debug": true}"#
        let replies = [
            ("SearchReply", await fixture.post(.search, #"{"query": "golden gate", "top_k": 2}"#).body),
            ("SearchReply", await APIFixture(hasEmbedder: false).post(.search, #"{"query": "golden"}"#).body),
            ("AnswerReply", await fixture.post(.answer, question).body),
            ("AnswerReply", await fixture.post(.answer, #"{"query": "mercury"}"#).body),
            ("RecentReply", await fixture.get(.recent).body),
            ("TraceReply", await fixture.get(.trace, path: ["doc_id": "d-hostile"]).body),
            ("HealthReply", await fixture.get(.health).body), ("ReadyReply", await fixture.get(.ready).body),
            ("LiveReply", await fixture.get(.live).body), ("PipelineStatusReply", await fixture.get(.status).body),
            ("Error", await fixture.post(.search, #"{"top_k": "x", "filters": {"wiki": [1]}}"#).body),
            ("Error", await fixture.get(.trace, path: ["doc_id": "none"]).body),
        ]
        for (name, reply) in replies {
            let schema = try #require(document["components"]?["schemas"]?[name])
            #expect(misfits(reply, schema, at: name) == [])
        }
    }

    /// Where `value` differs from `schema`: the part of JSON Schema that the document uses for replies.
    private func misfits(_ value: JSONValue, _ schema: JSONValue, at path: String) -> [String] {
        if let name = schema["$ref"]?.string?.split(separator: "/").last {
            guard let target = document["components"]?["schemas"]?[String(name)] else { return ["\(path): no \(name)"] }
            return misfits(value, target, at: path)
        }
        if let choices = schema["oneOf"]?.array {
            return choices.contains { misfits(value, $0, at: path).isEmpty } ? [] : ["\(path): fits no choice"]
        }
        if let choices = schema["enum"]?.array {
            return choices.contains(value) ? [] : ["\(path): \(value) is no choice"]
        }
        let types = schema["type"]?.array?.compactMap(\.string) ?? schema["type"]?.string.map { [$0] } ?? []
        guard types.isEmpty || types.contains(where: { isA($0, value) }) else { return ["\(path): not \(types)"] }
        if let elements = value.array, let item = schema["items"] {
            return elements.enumerated().flatMap { misfits($0.element, item, at: "\(path)[\($0.offset)]") }
        }
        guard let members = value.object, let properties = schema["properties"]?.object else { return [] }
        var result: [String] = []
        for (key, member) in members {
            if let property = properties.last(where: { $0.key == key })?.value {
                result += misfits(member, property, at: "\(path).\(key)")
            } else {
                result.append("\(path).\(key) is not documented")
            }
        }
        let present = Set(members.map(\.key))
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] where !present.contains(name) {
            result.append("\(path).\(name) is missing")
        }
        return result
    }

    private func isA(_ type: String, _ value: JSONValue) -> Bool {
        switch type {
        case "string": value.string != nil
        case "integer": value.integer != nil
        case "number": value.double != nil
        case "boolean": value.bool != nil
        case "array": value.array != nil
        case "object": value.object != nil
        case "null": value.isNull
        default: false
        }
    }
}
