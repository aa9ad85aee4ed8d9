import API
import Bytes
import Concurrency
import Foundation
import HTTPServer
import Health
import ServiceLifecycle
import Synchronization
import Testing

/// The page in a real browser: what a visitor sees after some seconds (of the browser's virtual time).
@Suite(.serialized) struct BrowserTests {
    static let browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// The page's document tree as markup, after `milliseconds` on `hash`.
    private func dump(_ fixture: APIFixture, hash: String, milliseconds: Int) async throws -> String {
        let server = SearchServer(api: fixture.api, configuration: HTTPServerConfiguration(), drainSeconds: 0)
        let stop = StopSignal()
        try await server.prepare(stop: stop)
        let running = Task { try await server.run(stop: stop) }
        let port = try #require(server.port)
        let browser = try #require(Self.browser)
        let markup = try await Lane(name: "browser").run {
            let profile = FileManager.default.temporaryDirectory.appending(path: "medallion-browser-\(port)")
            defer { try? FileManager.default.removeItem(at: profile) }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
            process.arguments = [
                "40", browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--user-data-dir=\(profile.path)", "--virtual-time-budget=\(milliseconds)", "--dump-dom",
                "http://127.0.0.1:\(port)/\(hash)",
            ]
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            let bytes = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: bytes, as: UTF8.self)
        }
        stop.request()
        try await running.value
        return markup
    }

    @Test(.enabled(if: browser != nil, "needs Chromium")) func aTraceOfHostileTextIsShownAndHarmless() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let markup = try await dump(fixture, hash: "#trace=d-hostile", milliseconds: 3_000)
        #expect(markup.contains("complete, hash verified"))
        #expect(markup.contains("equals the hash in the lineage"))
        #expect(markup.contains("<strong>1003</strong>"))
        #expect(markup.contains("&lt;img src=x onerror=alert(1)&gt;"))
        #expect(!markup.contains("<img"))
        #expect(markup.contains("recording"))
    }

    @Test(.enabled(if: browser != nil, "needs Chromium")) func answersAndErrorsAreShown() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let answer = try await dump(
            fixture, hash: "#ask=who%20repainted%20the%20golden%20gate%20bridge%20towers", milliseconds: 3_000)
        #expect(answer.contains("aria-label=\"Trace of citation 1\""))
        let wrong = try await dump(fixture, hash: "#search=%20", milliseconds: 3_000)
        #expect(wrong.contains("body.query"))
        #expect(wrong.contains("must hold at least one character"))
    }

    @Test(.enabled(if: browser != nil, "needs Chromium")) func anIndexThatIsStaleIsSeenToBe() async throws {
        let fixture = APIFixture()
        fixture.index.add("d-old", title: "Old", comment: "the newest there is", indexedAgoMilliseconds: 90_000)
        fixture.freshness.value.withLock { $0.indexedAtMilliseconds = SystemClock.epochMilliseconds() - 90_000 }
        let markup = try await dump(fixture, hash: "", milliseconds: 3_000)
        // An old document alone is none: the source may be idle.
        #expect(markup.contains("fresh · newest 2 min ago"))
        #expect(
            markup.contains("data-level=\"good\"")
                && markup.contains("Fresh: what comes in is searchable within moments."))
        fixture.freshness.set(.stale, "the index is 12 events behind; the oldest waits", eventsBehind: 12)
        let stale = try await dump(fixture, hash: "", milliseconds: 3_000)
        #expect(stale.contains("data-level=\"bad\"") && stale.contains("stale · newest 2 min ago"))
        #expect(stale.contains("the index is 12 events behind; the oldest waits") && stale.contains("12 behind"))
        fixture.freshness.set(.unknown, "broker or database have not answered for 12 s")
        let unknown = try await dump(fixture, hash: "", milliseconds: 3_000)
        #expect(unknown.contains("data-level=\"bad\"") && unknown.contains("unknown · newest 2 min ago"))
        #expect(unknown.contains("broker or database have not answered for 12 s"))
    }

    /// What is away, since when, and what still works; and nothing of it once all is well.
    @Test(.enabled(if: browser != nil, "needs Chromium")) func whatIsAwayIsSaidWithWhatStillWorks() async throws {
        let fixture = APIFixture(access: .ofThisMachine())
        let lost = Mutex<Set<String>>([])
        // What depends on others, and fails with them, has a line only where it fails alone.
        let dependent = [
            ("delivery", "Events wait in the producer"), ("stream", "Events wait in the topic"),
            ("indexer", "do not become searchable"), ("suppressions", "Those that were applied hold"),
        ]
        let causes = [
            ("broker", "Search, answers and traces work on what is indexed"),
            ("database", "Searches go on from memory"), ("source", "Nothing new arrives"),
            ("disk", "Events may not be taken in"),
        ]
        let parts = (causes + dependent).map(\.0)
        for part in parts {
            fixture.health.register(part, isRequired: false) {
                lost.withLock { $0.contains(part) } ? HealthReport(.failed, "\(part) <i>lost</i>") : HealthReport(.ok)
            }
        }
        await fixture.health.checkAll()
        let well = try await dump(fixture, hash: "", milliseconds: 2_000)
        #expect(well.contains("<div id=\"banner\" role=\"alert\" hidden=\"\"") && well.contains("parts well"))
        func told(_ failed: [String], _ lines: [(String, String)]) async throws -> String {
            lost.withLock { $0 = Set(failed) }
            await fixture.health.checkAll()
            let away = try await dump(fixture, hash: "", milliseconds: 2_000)
            #expect(!away.contains("<i>lost"))
            #expect(away.components(separatedBy: " · since ").count - 1 == lines.count, "\(failed)")
            for (part, effect) in lines {
                #expect(away.contains("<strong>\(part)</strong>") && away.contains(effect), "\(part)")
                #expect(away.contains("\(part) &lt;i&gt;lost&lt;/i&gt;"))
            }
            return away
        }
        let all = try await told(parts, causes)
        #expect(all.contains("(and so have delivery, stream, indexer, suppressions)"))
        _ = try await told(dependent.map(\.0), dependent)
    }

    @Test(.enabled(if: browser != nil, "needs Chromium")) func aVisitorIsAskedForAKeyOnlyWhereOneIsNeeded() async throws
    {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let closed = try await dump(APIFixture(access: access), hash: "", milliseconds: 2_000)
        let form = "<form id=\"key-form\" class=\"key-form\" autocomplete=\"off\" aria-label=\"API key\""
        #expect(closed.contains(form + ">"))
        let open = try await dump(APIFixture(), hash: "", milliseconds: 2_000)
        #expect(open.contains(form + " hidden=\"\">"))
    }
}

/// The page's scripts without a browser.
@Suite struct PageScriptTests {
    private static let node = ["/usr/bin/node", "/usr/local/bin/node"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Frames of events that are cut anywhere, texts that hide something, words that differ.
    @Test(.enabled(if: node != nil, "needs node")) func partsOfThePageDoWhatTheySay() async throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let page = here.appending(path: "../../Sources/Services/API/Page/Assets").standardizedFileURL
        let node = try #require(Self.node)
        let (said, status) = try await Lane(name: "node").run {
            let folder = FileManager.default.temporaryDirectory.appending(path: "medallion-page-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: folder) }
            try FileManager.default.copyItem(at: page, to: folder)
            try Data(#"{"type": "module"}"#.utf8).write(to: folder.appending(path: "package.json"))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: node)
            process.arguments = [here.appending(path: "page_modules.mjs").path, folder.path]
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let bytes = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return (String(decoding: bytes, as: UTF8.self), process.terminationStatus)
        }
        #expect(said.isEmpty && status == 0, "\(said)")
    }

    /// What a page or a module names is served, and nothing is served that none names.
    @Test func everyFileIsServedAndNeeded() async throws {
        let api = APIFixture()
        func text(_ target: String) async -> String {
            String(decoding: await api.reply(HTTPRequest(target: target)).body, as: UTF8.self)
        }
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Services/API/Page/Assets").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasSuffix(".html") }
        var (wanted, seen) = (["/", "/docs"], Set<String>())
        while let next = wanted.popLast() {
            for match in await text(next).matches(of: /(?:"\/page\/|from "\.\/)([a-z]+\.(?:js|css))"/) {
                guard seen.insert(String(match.1)).inserted else { continue }
                let reply = await api.reply(HTTPRequest(target: "/page/\(match.1)"))
                #expect(reply.status == 200, "\(next) names \(match.1)")
                wanted.append("/page/\(match.1)")
            }
        }
        #expect(seen.sorted() == files.sorted())
    }

    /// Event text is hostile: it may become text, and nothing else.
    @Test func noModuleMakesMarkupOfText() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Services/API/Page/Assets").standardizedFileURL
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let text = String(decoding: try Data(contentsOf: folder.appending(path: name)), as: UTF8.self)
            for word in [
                "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser",
                "createContextualFragment", "localStorage", " style=", "onclick=", "http-equiv",
            ] { #expect(!text.contains(word), "\(name) has \(word)") }
        }
    }
}
