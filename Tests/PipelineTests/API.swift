import Bytes
import HTTPClient
import JSONScan

/// The HTTP API of a deployment, over the wire.
struct API: Sendable {
    let port: Int
    private let client = HTTPClient()

    /// Where it is.
    var url: String { "http://127.0.0.1:\(port)" }

    init(port: Int) { self.port = port }

    func get(_ path: String) throws -> JSONValue {
        try JSONValue.parse(try reply(HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")).body, maxDepth: 64)
    }

    func post(_ path: String, _ members: [(StaticString, JSONValue)]) throws -> JSONValue {
        var json = JSONWriter()
        json.beginObject()
        for (name, value) in members {
            json.key(name)
            switch value {
            case .string(let text): json.string(text)
            case .integer(let number): json.integer(number)
            default: json.null()
            }
        }
        json.endObject()
        return try post(path, raw: json.bytes)
    }

    func post(_ path: String, raw body: [UInt8]) throws -> JSONValue {
        let request = HTTPClientRequest(
            method: "POST", url: "http://127.0.0.1:\(port)\(path)", headers: [("Content-Type", "application/json")],
            body: body)
        return try JSONValue.parse(try reply(request).body, maxDepth: 64)
    }

    /// The ids of a search's hits, best first.
    func search(_ query: String, mode: String = "hybrid", hits: Int64 = 5) throws -> [String] {
        let reply = try post(
            "/search", [("query", .string(query)), ("mode", .string(mode)), ("top_k", .integer(hits))])
        return (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    private func reply(_ request: HTTPClientRequest) throws -> HTTPClientResponse {
        let response = try client.request(request, timeoutMilliseconds: 30_000)
        try response.requireSuccess()
        return response
    }

    /// Every series of `/metrics` with its value, read by the rules of the text format 0.0.4.
    func metrics() throws -> Metrics {
        let response = try reply(HTTPClientRequest(url: "http://127.0.0.1:\(port)/metrics"))
        return try Metrics(String(decoding: response.body, as: UTF8.self))
    }
}

/// What `/metrics` says.
struct Metrics: Sendable {
    private(set) var series: [String: Double] = [:]

    init(_ text: String) throws {
        var types: Set<Substring> = []
        guard text.hasSuffix("\n") else { throw PipelineFailure("/metrics does not end with a line feed") }
        for line in text.utf8.split(separator: UInt8(ascii: "\n")).map({ Substring($0) }) {
            if line.utf8.first == UInt8(ascii: "#") {
                let words = line.split(separator: " ", maxSplits: 3)
                if words.count == 4, words[1] == "TYPE" { types.insert(words[2]) }
                continue
            }
            guard let space = line.utf8.lastIndex(of: UInt8(ascii: " ")), let name = Self.name(line[..<space]),
                let value = Double(line[line.index(after: space)...])
            else { throw PipelineFailure("/metrics has a line that is no sample: \(line)") }
            guard
                ["", "_bucket", "_sum", "_count"].contains(where: {
                    name.hasSuffix($0) && types.contains(name.dropLast($0.utf8.count))
                })
            else { throw PipelineFailure("/metrics tells no type of \(name)") }
            series[String(line[..<space])] = value
        }
    }

    /// The name of `name` or `name{label="value",…}`; nil where it is neither.
    private static func name(_ text: Substring) -> Substring? {
        let name = text.prefix { $0 != "{" }
        let isName = name.utf8.allSatisfy { byte in
            (0x30...0x3A).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
        }
        guard isName, let first = name.utf8.first, first > 0x39 else { return nil }
        var rest = text[name.endIndex...].utf8
        if rest.isEmpty { return name }
        repeat {
            rest = rest.dropFirst()  // { or ,
            guard let quote = rest.firstIndex(of: UInt8(ascii: "\"")), rest[..<quote].last == UInt8(ascii: "=") else {
                return nil
            }
            rest = rest[rest.index(after: quote)...]
            while let byte = rest.first, byte != UInt8(ascii: "\"") {
                rest = rest.dropFirst(byte == UInt8(ascii: "\\") ? 2 : 1)
            }
            rest = rest.dropFirst()
        } while rest.first == UInt8(ascii: ",")
        return rest.elementsEqual("}".utf8) ? name : nil
    }

    /// The value of a series; 0 where it is absent.
    subscript(_ name: String) -> Int { Int(series[name] ?? 0) }

    /// The sum over all series of a name.
    func sum(_ name: String) -> Int {
        Int(series.filter { $0.key == name || $0.key.hasPrefix(name + "{") }.map(\.value).reduce(0, +))
    }
}
