import API
import Bytes
import Glibc
import HTTPServer
import Health
import ServiceLifecycle
import Testing

/// Serves the page over the fakes for a look at it: `PAGE_PORT=8099 PAGE_SECONDS=60 swift test --filter PageServing`.
@Suite struct PageServing {
    static let port = getenv("PAGE_PORT").flatMap { UInt16(String(cString: $0)) }
    static let seconds = getenv("PAGE_SECONDS").flatMap { Int(String(cString: $0)) } ?? 30

    @Test(.enabled(if: port != nil, "for people: set PAGE_PORT")) func serve() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let server = SearchServer(api: fixture.api, configuration: HTTPServerConfiguration(port: Self.port ?? 0))
        fixture.health.register("broker", isRequired: true) { HealthReport(.ok, "embedded, 127.0.0.1:19092") }
        fixture.health.register("stream", isRequired: false) { HealthReport(.degraded, "1,204 events behind") }
        fixture.health.register("lake", isRequired: false) { HealthReport(.ok, "last commit 90 ms ago") }
        let stop = StopSignal()
        try await server.prepare(stop: stop)
        let running = Task { try await server.run(stop: stop) }
        var generator = SeededGenerator(seed: 7)
        let subjects = [
            "Golden Gate Bridge", "Lake Tahoe", "東京タワー", "Москва", "القاهرة", "ירושלים", "São Paulo",
            "Johann Sebastian Bach",
        ]
        let comments = [
            "fixed a typo in the lead section", "/* History */ new source for the opening date", "修正錯字",
            "إضافة مصدر للفقرة الأولى", "reverted edits by 192.0.2.17 to last version by Ann", "added category",
            "<b>bold</b> \u{202E}desrever\u{202C} text", "",
        ]
        let wikis = [("enwiki", "en"), ("dewiki", "de"), ("jawiki", "ja"), ("arwiki", "ar"), ("ruwiki", "ru")]
        for number in 0..<Self.seconds * 4 {
            let wiki = wikis.randomElement(using: &generator) ?? ("enwiki", "en")
            fixture.index.add(
                "ev-\(number)", title: subjects.randomElement(using: &generator) ?? "",
                comment: comments.randomElement(using: &generator) ?? "", wiki: wiki.0, language: wiki.1,
                type: number.isMultiple(of: 9) ? "new" : "edit", user: number.isMultiple(of: 5) ? "CatBot" : "Ann",
                isBot: number.isMultiple(of: 5))
            if await stop.pause(milliseconds: 250) { break }
        }
        stop.request()
        try await running.value
    }
}
