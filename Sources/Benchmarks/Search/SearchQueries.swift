import Bytes
import Console
import HTTPClient
import JSONScan

/// What the search benchmark asks.
enum SearchQueries {
    /// Words that are in many texts; `bench index` asks for them, too.
    static let words = """
        earthquake football election river album film season vandalism reverted category birth death war school station
        species village bridge university singer volcano island museum railway
        """.split { $0 == " " || $0 == "\n" }.map(String.init)

    private static let wordsEach = 3
    private static let numbers: UInt64 = 1_000_000

    /// Three words and a number, so that no query comes again: a cache of vectors helps nobody.
    static func next(_ random: inout SeededGenerator) -> String {
        let chosen = (0..<wordsEach).map { _ in words[Int(random.next() % UInt64(words.count))] }
        return (chosen + ["\(random.next() % numbers)"]).joined(separator: " ")
    }

    /// A script for wrk that asks the same kind of query each time, and prints a quantile that wrk leaves out.
    ///
    /// - Parameter seed: of the queries; another one for each round.
    static func script(seed: Int) -> String {
        let list = words.map { "\"\($0)\"" }.joined(separator: ",")
        return """
            local words = {\(list)}
            math.randomseed(\(seed))
            local function word() return words[math.random(#words)] end
            local headers = {["Content-Type"] = "application/json"}
            function request()
              local text = word() .. " " .. word() .. " " .. word() .. " " .. math.random(0, \(numbers - 1))
              return wrk.format("POST", nil, headers, '{"query":"' .. text .. '","top_k":10}')
            end
            function done(summary, latency, requests)
              io.write(string.format("95%% %.1fus\\n", latency:percentile(95)))
            end
            """
    }
}

/// Searches over HTTP by one client, of the product or of a peer with the same form of request and reply.
struct SearchClient {
    /// Where the search is, with its path.
    let url: String
    private let client = HTTPClient()

    private static let timeoutMilliseconds = 60_000

    init(url: String) { self.url = url }

    /// The documents of the first ten hits.
    ///
    /// - Throws: ``Failure`` where the reply is not 200.
    func documents(_ query: String, mode: String, isExact: Bool) throws -> [String] {
        Self.documents(try reply(query, mode: mode, isExact: isExact))
    }

    static func documents(_ reply: JSONValue) -> [String] {
        (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    /// Whether the word arm ranked all passages with a word of the query, and none was left out for its time.
    static func hasAllWords(_ reply: JSONValue) -> Bool {
        !(reply["bounded_arms"]?.array ?? []).contains { $0.string == "lexical" }
    }

    /// The whole reply for the first ten hits.
    func reply(_ query: String, mode: String, isExact: Bool) throws -> JSONValue {
        var json = JSONWriter()
        json.beginObject()
        json.string("query", query)
        json.integer("top_k", 10)
        json.string("mode", mode)
        json.bool("exact", isExact)
        json.endObject()
        return try post(json.bytes)
    }

    func post(_ body: [UInt8]) throws -> JSONValue {
        let request = HTTPClientRequest(
            method: "POST", url: url, headers: [("Content-Type", "application/json")], body: body)
        let reply = try client.request(request, timeoutMilliseconds: Self.timeoutMilliseconds)
        guard reply.status == 200 else {
            throw Failure(
                "\(url) was answered \(reply.status): \(String(decoding: reply.body.prefix(300), as: UTF8.self))")
        }
        return try JSONValue.parse(reply.body)
    }
}
