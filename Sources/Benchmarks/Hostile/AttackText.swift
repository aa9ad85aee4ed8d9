import Bytes
import Synchronization

/// Requests as attacks write them.
enum AttackText {
    static let json = ["Content-Type: application/json"]

    static func head(
        _ method: String, _ path: String, _ target: AttackTarget, _ headers: [String], host: String? = nil
    ) -> [UInt8] {
        let lines = ["\(method) \(path) HTTP/1.1", "Host: \(host ?? target.host)"] + headers
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    static func get(_ path: String, _ target: AttackTarget, _ headers: [String] = []) -> [UInt8] {
        head("GET", path, target, headers)
    }

    static func post(_ path: String, _ body: String, _ target: AttackTarget) -> [UInt8] {
        send("POST", path, body, target, json)
    }

    static func send(
        _ method: String, _ path: String, _ body: String, _ target: AttackTarget, _ headers: [String],
        host: String? = nil
    ) -> [UInt8] {
        head(method, path, target, headers + ["Content-Length: \(body.utf8.count)"], host: host) + Array(body.utf8)
    }

    /// A request that costs the server something.
    static func anyRead(_ random: inout SeededGenerator, _ target: AttackTarget) -> [UInt8] {
        let query = BenchEdit.words(8, &random)
        switch random.next() % 4 {
        case 0: return post("/answer", #"{"query":"\#(query)"}"#, target)
        case 1: return get("/events/recent?limit=200&after=9000000000000000", target)
        case 2: return post("/search", #"{"query":"\#(query)","collection":"nope"}"#, target)
        default: return post("/search", #"{"query":"\#(query)"}"#, target)
        }
    }

    /// A request for data that came through somebody else's name or proxy.
    static func foreign(_ random: inout SeededGenerator, _ target: AttackTarget) -> [UInt8] {
        let ways: [(host: String?, headers: [String])] = [
            ("evil.example", []), ("evil.example:\(target.port)", []), ("127.0.0.1.evil.example", []),
            (nil, ["X-Forwarded-For: 203.0.113.9"]), (nil, ["Forwarded: for=203.0.113.9;host=evil.example"]),
            ("evil.example", ["X-Forwarded-For: 127.0.0.1"]),
        ]
        let way = ways[Int(random.next() % UInt64(ways.count))]
        switch random.next() % 4 {
        case 0: return send("POST", "/search", #"{"query":"bridge"}"#, target, json + way.headers, host: way.host)
        case 1: return head("GET", "/trace/" + target.document(&random), target, way.headers, host: way.host)
        case 2: return head("GET", "/metrics", target, way.headers, host: way.host)
        default: return head("GET", "/events/recent", target, way.headers, host: way.host)
        }
    }

    /// A character of a key.
    static func letter(_ random: inout SeededGenerator) -> String {
        String(UnicodeScalar(UInt8(ascii: "a") + UInt8(random.next() % 26)))
    }
}

/// A message that is the same for every connection, made when the first one wants it.
final class SharedMessage: Sendable {
    private let made = Mutex<AttackMessage?>(nil)

    func bytes(_ make: () -> [UInt8]) -> AttackMessage {
        made.withLock { made in
            if let made { return made }
            let message = AttackMessage(make())
            made = message
            return message
        }
    }
}
