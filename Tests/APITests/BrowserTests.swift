import API
import Concurrency
import Foundation
import HTTPServer
import ServiceLifecycle
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

    @Test(.enabled(if: browser != nil, "needs Chromium")) func theFeedGoesStaleVisibly() async throws {
        let fixture = APIFixture()
        fixture.index.add("d-old", title: "Old", comment: "the newest there is", indexedAgoMilliseconds: 90_000)
        let markup = try await dump(fixture, hash: "", milliseconds: 3_000)
        // An old document alone is none: the source may be idle.
        #expect(markup.contains("fresh · newest 1 min"))
        #expect(markup.contains("data-level=\"good\""))
        fixture.freshness.set(.stale, "the index is 12 events behind; the oldest waits", eventsBehind: 12)
        let stale = try await dump(fixture, hash: "", milliseconds: 3_000)
        #expect(stale.contains("data-level=\"bad\""))
        #expect(stale.contains("stale · newest 1 min"))
        #expect(stale.contains("the index is 12 events behind; the oldest waits"))
        fixture.freshness.set(.unknown, "broker or database have not answered for 12 s")
        let unknown = try await dump(fixture, hash: "", milliseconds: 3_000)
        #expect(unknown.contains("data-level=\"bad\"") && unknown.contains("unknown · newest 1 min"))
    }

    @Test(.enabled(if: browser != nil, "needs Chromium")) func aVisitorIsAskedForAKeyOnlyWhereOneIsNeeded() async throws
    {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let closed = try await dump(APIFixture(access: access), hash: "", milliseconds: 2_000)
        #expect(closed.contains("<form id=\"key-form\" class=\"banner key-form\" autocomplete=\"off\">"))
        let open = try await dump(APIFixture(), hash: "", milliseconds: 2_000)
        #expect(open.contains("<form id=\"key-form\" class=\"banner key-form\" autocomplete=\"off\" hidden=\"\">"))
    }
}

/// The page's scripts without a browser.
@Suite struct PageScriptTests {
    private static let node = ["/usr/bin/node", "/usr/local/bin/node"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// A poll follows a bounded number of pages that were cut short; what is behind them is not shown, and the rate says so.
    @Test(.enabled(if: node != nil, "needs node")) func theFeedSaysWhenThereIsMoreThanItShows() async throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let page = here.appending(path: "../../Sources/Services/API/Page/Assets").standardizedFileURL
        let node = try #require(Self.node)
        let rates = try await Lane(name: "node").run {
            let folder = FileManager.default.temporaryDirectory.appending(path: "medallion-page-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: folder) }
            try FileManager.default.copyItem(at: page, to: folder)
            try Data(#"{"type": "module"}"#.utf8).write(to: folder.appending(path: "package.json"))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: node)
            process.arguments = [here.appending(path: "feed_page.mjs").path, folder.path]
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let bytes = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }
        #expect(rates == ["all", "all", "over", "all"])
    }
}
