import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import IndexTesting
import JSONScan
import Retrieval
import ServiceLifecycle
import Testing

@testable import API

@Suite struct FaultTests {
    @Test func aLostIndexIsUnavailableAndHeals() async {
        let fixture = APIFixture(lanes: 1)
        fixture.fill()
        fixture.index.state.withLock { $0.failures = 1 }
        let (status, body) = await fixture.post(.search, #"{"query": "golden"}"#)
        #expect(status == 503)
        #expect(body["error"]?["message"]?.string?.contains("the log says why") == true)
        let (again, _) = await fixture.post(.search, #"{"query": "golden"}"#)
        #expect(again == 200)
        #expect(fixture.index.state.withLock { $0.opened } == 2, "a connection is made anew after a failure")
    }

    @Test func aHangingIndexEndsAtTheTimeLimit() async {
        let fixture = APIFixture(timeoutMilliseconds: 60, lanes: 1)
        fixture.index.state.withLock { $0.delayMilliseconds = 400 }
        async let first = fixture.post(.search, #"{"query": "golden"}"#)
        async let second = fixture.post(.search, #"{"query": "silver"}"#)
        async let third = fixture.post(.search, #"{"query": "bronze"}"#)
        let statuses = await [first.status, second.status, third.status]
        #expect(statuses.allSatisfy { $0 == 503 || $0 == 504 })
    }

    @Test func aHangingModelEndsAtTheTimeLimit() async {
        let embedder = QueryEmbedder(modelName: "slow") { _ in
            try await Task.sleep(for: .seconds(60))
            return []
        }
        let fixture = APIFixture(embedder: embedder, timeoutMilliseconds: 50)
        let (status, body) = await fixture.post(.search, #"{"query": "golden", "mode": "vector"}"#)
        #expect(status == 504)
        #expect(body["error"]?["type"]?.string == "timeout")
    }

    @Test func manyRequestsShareFewLanes() async {
        let fixture = APIFixture(lanes: 2)
        fixture.fill()
        fixture.index.state.withLock { $0.delayMilliseconds = 1 }
        let statuses = await withTaskGroup(of: Int.self) { group in
            for number in 0..<100 {
                group.addTask { await fixture.post(.search, #"{"query": "golden \#(number)"}"#).status }
            }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.count == 100 && statuses.allSatisfy { $0 == 200 })
        #expect(fixture.index.state.withLock { $0.opened } <= 2)
    }

    @Test func anOverloadIsRefusedAtOnce() async throws {
        let pool = LanePool<Int>(name: "small", count: 1, waitersMax: 2) { 1 }
        let outcomes = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    do {
                        return try await pool.run(deadline: Deadline(milliseconds: 5_000)) { _, _ in
                            sleepMilliseconds(30)
                            return 200
                        }
                    } catch {
                        return (error as? WaitError).map { APIError($0).status } ?? 0
                    }
                }
            }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(outcomes[200, default: 0] >= 3)
        #expect(outcomes[200, default: 0] + outcomes[503, default: 0] == 10)
    }
}

@Suite struct HealthTests {
    @Test func namesEveryDependency() async {
        let fixture = APIFixture()
        fixture.health.register("broker", isRequired: false) { HealthReport(.ok, "embedded, 127.0.0.1:19092") }
        let (_, unknown) = await fixture.get(.health)
        #expect(unknown["dependencies"]?["broker"]?["state"]?.string == "unknown")
        #expect(unknown["status"]?.string == "degraded")
        let stop = StopSignal()
        stop.request()
        await fixture.api.runHealthChecks(stop: stop)
        await fixture.health.checkAll()
        let (status, body) = await fixture.get(.health)
        #expect(status == 200)
        #expect(body["status"]?.string == "ok")
        #expect(body["dependencies"]?.keys == ["broker", "index", "embedding"])
        #expect(body["dependencies"]?["index"]?["message"]?.string == "fake 1.0")
        #expect(body["dependencies"]?["index"]?["last_ok"]?.string != nil)
    }

    @Test func aRequiredFailureIs503() async {
        let fixture = APIFixture()
        fixture.health.register("index", isRequired: true) { throw FakeFailure() }
        await fixture.health.checkAll()
        let (status, body) = await fixture.get(.health)
        #expect(status == 503)
        #expect(body["status"]?.string == "failed")
        #expect(body["dependencies"]?["index"]?["message"]?.string?.contains("refused") == true)
        fixture.health.register("index", isRequired: false) { throw FakeFailure() }
        await fixture.health.checkAll()
        let (degraded, _) = await fixture.get(.health)
        #expect(degraded == 200)
    }

    @Test func metricsAreText() async {
        let reply = await APIFixture().reply(APIFixture.request(.metrics))
        #expect(reply.headers["Content-Type"]?.hasPrefix("text/plain; version=0.0.4") == true)
    }
}

@Suite struct PageTests {
    @Test func everyFileIsServedUnderAStrictPolicy() async {
        let fixture = APIFixture()
        let page = await fixture.reply(APIFixture.request(.page))
        #expect(page.headers["Content-Type"] == "text/html; charset=utf-8")
        let html = String(decoding: page.body, as: UTF8.self)
        #expect(html.contains("<title>Medallion</title>"))
        #expect(!html.contains("http://") || html.contains("http://www.w3.org/2000/svg"))
        for file in Page.files.keys.sorted() {
            let reply = await fixture.reply(APIFixture.request(.pageFile, path: ["file": file]))
            #expect(reply.status == 200 && !reply.body.isEmpty)
            let policy = reply.headers["Content-Security-Policy"] ?? ""
            #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
            // Text from outside never becomes markup.
            let text = String(decoding: reply.body, as: UTF8.self)
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                #expect(!text.contains(word), "\(file) uses \(word)")
            }
        }
        let missing = await fixture.reply(APIFixture.request(.pageFile, path: ["file": "../secret"]))
        #expect(missing.status == 404)
    }
}
