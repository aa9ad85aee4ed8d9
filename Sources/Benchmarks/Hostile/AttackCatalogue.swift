import Bytes

/// All attacks, each against something that a server may do without a bound.
enum AttackCatalogue {
    static let all: [Attack] = reading + holding + streaming + refused

    /// - Parameter names: `all`, or names with commas.
    /// - Returns: nil where one of the names is unknown.
    static func attacks(_ names: String) -> [Attack]? {
        if names == "all" { return all }
        let words = names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let found = words.compactMap { word in all.first { $0.name == word } }
        return found.count == words.count ? found : nil
    }

    /// The largest body that the API takes.
    private static let bodyBytes = 524_288

    // MARK: Work that each request may cost

    private static let reading = [
        Attack(
            name: "recent-polls", summary: "pages that ask every second what is newer than their newest event",
            connections: 60, addresses: 6, perSecond: 60
        ) { random, target in
            let after = random.next() % 4 == 0 ? "1" : "9000000000000000"
            return AttackMessage(AttackText.get("/events/recent?limit=100&after=\(after)", target))
        },
        Attack(
            name: "rare-filters", summary: "/events/recent with filters that nothing or little passes",
            connections: 8, addresses: 4, perSecond: 40
        ) { random, target in
            let filters = [
                "lang=zz", "collection=nope", "wiki=nowiki_nowhere", "type=log&is_bot=true&wiki=zzwiki",
                "lang=zz,yy,xx&type=new",
            ]
            let filter = filters.randomElement(using: &random) ?? ""
            return AttackMessage(AttackText.get("/events/recent?limit=200&\(filter)", target))
        },
        Attack(
            name: "rare-searches", summary: "searches with such filters, which the vector arm answers exactly",
            connections: 8, addresses: 4, perSecond: 40
        ) { random, target in
            let filters = [
                #""collection":"nope""#, #""filters":{"lang":"zz"}"#, #""filters":{"wiki":"zzwiki","is_bot":true}"#,
                #""filters":{"from":"1999-01-01T00:00:00Z","to":"1999-01-02T00:00:00Z"}"#,
                #""filters":{"type":"new","lang":["zz","yy"]}"#,
            ]
            let mode = ["hybrid", "vector", "lexical"].randomElement(using: &random) ?? ""
            let filter = filters.randomElement(using: &random) ?? ""
            let query = BenchEdit.words(3, &random)
            return AttackMessage(
                AttackText.post("/search", #"{"query":"\#(query)","top_k":100,"mode":"\#(mode)",\#(filter)}"#, target))
        },
        Attack(
            name: "cancelled", summary: "requests whose client closes or resets the connection midway",
            connections: 40, addresses: 4, perSecond: 80,
            // A third at once.
            following: .leave(afterMilliseconds: -30...60, reads: false)
        ) { random, target in AttackMessage(AttackText.anyRead(&random, target)) },
        Attack(
            name: "half-closed", summary: "requests behind which the client shuts its sending side",
            connections: 10, addresses: 2, perSecond: 20, following: .end, isHalfClosed: true
        ) { random, target in AttackMessage(AttackText.anyRead(&random, target)) },
        Attack(
            name: "answers", summary: "/answer with questions as long as may be",
            connections: 24, addresses: 8, perSecond: 60
        ) { random, target in
            let question = BenchEdit.words(400, &random).prefix(1_990)
            return AttackMessage(AttackText.post("/answer", #"{"query":"\#(question)","top_k":100}"#, target))
        },
        Attack(
            name: "pipelined", summary: "a hundred requests in one packet, over and over",
            connections: 8, addresses: 4, perSecond: 10
        ) { _, target in
            let pair = AttackText.get("/events/recent?limit=1", target) + AttackText.get("/live", target)
            return AttackMessage(Array(repeatElement(pair, count: 50).joined()), replyCount: 100)
        },
    ]

    // MARK: Connections and memory that each client may hold

    private static let holding = [
        Attack(
            name: "half-bodies", summary: "bodies of 512 KiB without a key, whose last byte never comes",
            connections: 300, addresses: 12, perSecond: 60, following: .hold,
            message: halfBody()),
        Attack(
            name: "slow-bodies", summary: "bodies that come at a byte a second",
            connections: 150, addresses: 6, perSecond: 50, following: .hold, dripMilliseconds: 1_000
        ) { random, target in
            let query = BenchEdit.words(60, &random)
            let bytes = AttackText.post("/search", #"{"query":"\#(query)"}"#, target)
            return AttackMessage(bytes, promptCount: bytes.count - query.utf8.count)
        },
        Attack(
            name: "slow-heads", summary: "heads that come at a byte a second (slow loris)",
            connections: 300, addresses: 6, perSecond: 100, following: .hold, dripMilliseconds: 1_000
        ) { random, target in
            let bytes = AttackText.get("/events/recent", target, ["X-Slow: \(BenchEdit.words(60, &random))"])
            return AttackMessage(bytes, promptCount: Int(random.next() % 40))
        },
        Attack(
            name: "slow-readers", summary: "large replies by the dozen, read at a packet every three seconds",
            connections: 60, addresses: 6, perSecond: 20, following: .sip(bytes: 1_000, everyMilliseconds: 3_000),
            receiveBufferBytes: 4_096
        ) { _, target in
            let bytes = AttackText.get("/events/recent?limit=200", target)
            return AttackMessage(Array(repeatElement(bytes, count: 16).joined()), replyCount: 16)
        },
        Attack(
            name: "slow-traces", summary: "traces, asked for and read in the same way",
            connections: 20, addresses: 2, perSecond: 10, following: .sip(bytes: 1_000, everyMilliseconds: 3_000),
            receiveBufferBytes: 4_096
        ) { random, target in
            let bytes = (0..<8).flatMap { _ in AttackText.get("/trace/" + target.document(&random), target) }
            return AttackMessage(bytes, replyCount: 8)
        },
        Attack(
            name: "one-address", summary: "connections that one address opens and leaves idle",
            connections: 1_500, addresses: 1, perSecond: 300, following: .hold
        ) { _, _ in AttackMessage([]) },
    ]

    private static func halfBody() -> @Sendable (inout SeededGenerator, AttackTarget) -> AttackMessage {
        let body = [UInt8](repeating: 0x20, count: bodyBytes - 1)
        // One array for all connections: they hold the server's memory, not that of the attack.
        let shared = SharedMessage()
        return { _, target in
            shared.bytes {
                AttackText.head("POST", "/search", target, AttackText.json + ["Content-Length: \(bodyBytes)"]) + body
            }
        }
    }

    // MARK: Streams

    private static let streaming = [
        Attack(
            name: "streams", summary: "readers of /stream, from few addresses",
            connections: 200, addresses: 4, perSecond: 50,
            following: .leave(afterMilliseconds: 60_000...120_000, reads: true)
        ) { _, target in AttackMessage(AttackText.get("/stream", target)) },
        Attack(
            name: "text-filters", summary: "readers of /stream, each with a text to look for in every event",
            connections: 200, addresses: 4, perSecond: 50,
            following: .leave(afterMilliseconds: 60_000...120_000, reads: true)
        ) { random, target in
            let text = BenchEdit.words(2, &random).replacing(" ", with: "%20")
            return AttackMessage(AttackText.get("/stream?text=\(text)", target))
        },
        Attack(
            name: "reconnects", summary: "readers of /stream that come back every moment and want all from the start",
            connections: 40, addresses: 4, perSecond: 30,
            following: .leave(afterMilliseconds: 200...1_000, reads: true)
        ) { _, target in AttackMessage(AttackText.get("/stream", target, ["Last-Event-ID: 0:0"])) },
        Attack(
            name: "wrong-ids", summary: "readers of /stream with ids ahead of the log, of another log, or of none",
            connections: 20, addresses: 2, perSecond: 20,
            following: .leave(afterMilliseconds: 100...400, reads: true)
        ) { random, target in
            let many = (0..<1_000).map { "\($0):1" }.joined(separator: ",")
            let ids = [
                "0:999999999999", "0:9223372036854775807,1:9223372036854775807", "nobody", many, "0:1,0:2",
                "ffffffff/0:1", "999999:5",
            ]
            let id = ids.randomElement(using: &random) ?? ""
            return AttackMessage(AttackText.get("/stream", target, ["Last-Event-ID: \(id)"]))
        },
    ]

    // MARK: What must be refused

    private static let refused = [
        Attack(
            name: "foreign-hosts", summary: "data asked for under a foreign Host, or through a proxy that nobody named",
            connections: 10, addresses: 2, perSecond: 40, mustBeRefused: true
        ) { random, target in AttackMessage(AttackText.foreign(&random, target)) },
        Attack(
            name: "no-content-type", summary: "bodies as a page of any origin may send them, without a preflight",
            connections: 10, addresses: 2, perSecond: 40, mustBeRefused: true
        ) { random, target in
            let types = [[], ["Content-Type: text/plain"], ["Content-Type: application/x-www-form-urlencoded"]]
            let path = random.next() % 2 == 0 ? "/answer" : "/search"
            let headers = types.randomElement(using: &random) ?? []
            return AttackMessage(AttackText.send("POST", path, #"{"query":"bridge"}"#, target, headers))
        },
        Attack(
            name: "wrong-keys", summary: "keys that are none, or nobody's",
            connections: 10, addresses: 4, perSecond: 200, mustBeRefused: true
        ) { random, target in
            let secret = (0..<43).map { _ in AttackText.letter(&random) }.joined()
            let id = (0..<12).map { _ in AttackText.letter(&random) }.joined()
            let key = random.next() % 4 == 0 ? secret : "mdl_\(id)_\(secret)"
            return AttackMessage(AttackText.get("/events/recent", target, ["Authorization: Bearer \(key)"]))
        },
        Attack(
            name: "huge-heads", summary: "heads of 64 to 256 KiB",
            connections: 10, addresses: 2, perSecond: 30, following: .end, mustBeRefused: true
        ) { random, target in
            let text = String(repeating: "h", count: 65_536 << Int(random.next() % 3))
            return AttackMessage(AttackText.get("/events/recent", target, ["X-Huge: \(text)"]))
        },
        Attack(
            name: "garbage", summary: "bytes that are no HTTP",
            connections: 10, addresses: 2, perSecond: 50, following: .end, mustBeRefused: true
        ) { random, _ in
            // A line end early on, so that the server has something to refuse.
            let line = (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next() | 0x80) } + [0x0D, 0x0A]
            let rest = (0..<Int(random.next() % 2_000)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            return AttackMessage(line + rest)
        },
        Attack(
            name: "wrong-paths", summary: "paths that lead nowhere",
            connections: 10, addresses: 2, perSecond: 200, mustBeRefused: true
        ) { random, target in
            let words = BenchEdit.words(1 + Int(random.next() % 40), &random).replacing(" ", with: "/")
            let path = random.next() % 3 == 0 ? "/%2e%2e/" + words : "/" + words
            return AttackMessage(AttackText.get(path, target))
        },
    ]
}
