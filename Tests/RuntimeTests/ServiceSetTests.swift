import Glibc
import Health
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

private struct Fault: Error, CustomStringConvertible { let description = "out of order" }

private struct Item: Sendable, Equatable {
    var name: String
    var value = 0
}

/// What happened, in order.
private final class Journal: Sendable {
    private let state = Mutex<[String]>([])
    func note(_ entry: String) { state.withLock { $0.append(entry) } }
    var entries: [String] { state.withLock { $0 } }
    func count(_ entry: String) -> Int { entries.count { $0 == entry } }
}

private let quiet = Logger("test", sink: LogSink(format: .text, output: { _ in }))

@Suite(.timeLimit(.minutes(1))) struct ServiceSetTests {
    private let journal = Journal()

    private func services(
        _ items: [Item], fails: @escaping @Sendable (Item) -> Bool = { _ in false }
    ) -> ServiceSet<Item> {
        ServiceSet(
            name: "all", items: items, logger: quiet, retryMilliseconds: 1, key: \.name,
            removed: { [journal] item, next in
                journal.note(next.map { "replaced \(item.name)\(item.value) by \($0.value)" } ?? "removed \(item.name)")
            },
            failed: { [journal] item, error in journal.note("failed \(item.name): \(error)") },
            make: { [journal] item in
                guard item.value >= 0 else { return nil }
                return ClosureService(name: item.name) { _ in
                    journal.note("prepare \(item.name)\(item.value)")
                } run: { stop in
                    if fails(item) { throw Fault() }
                    await stop.wait()
                    journal.note("drained \(item.name)\(item.value)")
                }
            })
    }

    private func eventually(_ isTrue: @escaping @Sendable () -> Bool) async throws {
        while !isTrue() { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Runs the set beside `body`, as a group would.
    private func running(
        _ set: ServiceSet<Item>, _ body: () async throws -> Void
    ) async throws {
        let stop = StopSignal()
        try await set.prepare(stop: stop)
        async let end: Void = set.run(stop: stop)
        defer { stop.request() }
        try await body()
        stop.request()
        try await end
    }

    @Test("items are added, changed and removed while the others run on")
    func changes() async throws {
        let set = services([Item(name: "a"), Item(name: "b")])
        try await running(set) {
            #expect(journal.entries == ["prepare a0", "prepare b0"])
            set.want([Item(name: "a"), Item(name: "b", value: 1), Item(name: "c")])
            try await eventually { [journal] in journal.count("prepare c0") == 1 && journal.count("prepare b1") == 1 }
            let entries = journal.entries
            let steps = ["drained b0", "replaced b0 by 1", "prepare b1"]
            #expect(entries.filter { steps.contains($0) } == steps, "two of one item never run at once")
            set.want([Item(name: "b", value: 1)])
            try await eventually { [journal] in journal.count("removed a") == 1 && journal.count("removed c") == 1 }
            #expect(set.states == ["b": .running])
        }
        #expect(journal.count("prepare a0") == 1 && journal.count("prepare b1") == 1)
        #expect(journal.count("drained b1") == 1)
        #expect(journal.count("removed b") == 0)
    }

    @Test("wanting the same again changes nothing, however often")
    func storm() async throws {
        let set = services([Item(name: "a")])
        try await running(set) {
            for _ in 0..<1_000 { set.want([Item(name: "a")]) }
            set.want([Item(name: "a"), Item(name: "b")])
            try await eventually { [journal] in journal.count("prepare b0") == 1 }
        }
        #expect(journal.count("prepare a0") == 1)
    }

    @Test("one of several that fails is tried again, and the others run on")
    func failingBesideHealthy() async throws {
        let set = services([Item(name: "bad"), Item(name: "good")], fails: { $0 == Item(name: "bad") })
        try await running(set) {
            try await eventually { [journal] in journal.count("failed bad: out of order") >= 2 }
            #expect(set.states["good"] == .running)
            // What is mended runs at once.
            set.want([Item(name: "bad", value: 1), Item(name: "good")])
            try await eventually { set.states["bad"] == .running }
        }
        #expect(journal.count("prepare good0") == 1 && journal.count("drained good0") == 1)
    }

    @Test("a single one that fails ends the set, as it would end the group")
    func alone() async throws {
        let set = services([Item(name: "bad")], fails: { _ in true })
        let stop = StopSignal()
        try await set.prepare(stop: stop)
        await #expect(throws: Fault.self) { try await set.run(stop: stop) }
    }

    @Test("a service that cannot be prepared at the start ends the start")
    func preparation() async throws {
        let set = ServiceSet<Item>(
            name: "all", items: [Item(name: "a"), Item(name: "b")], logger: quiet, key: \.name,
            make: { [journal] item in
                ClosureService(name: item.name) { _ in
                    if item.name == "b" { throw Fault() }
                } run: { stop in
                    await stop.wait()
                    journal.note("drained \(item.name)")
                }
            })
        await #expect(throws: Fault.self) { try await set.prepare(stop: StopSignal()) }
        #expect(journal.entries == ["drained a"])
    }

    /// One whose first service drains only when `gate` opens.
    private func slow(_ gate: StopSignal, drainLimitSeconds: Int) -> ServiceSet<Item> {
        ServiceSet(
            name: "all", items: [Item(name: "a")], logger: quiet, drainLimitSeconds: drainLimitSeconds, key: \.name,
            make: { [journal] item in
                journal.note("make \(item.name)")
                return ClosureService(name: item.name) { stop in
                    await stop.wait()
                    await gate.wait()
                }
            })
    }

    @Test("an item that is wanted again while it drains is started again")
    func wantedAgain() async throws {
        let gate = StopSignal()
        let set = slow(gate, drainLimitSeconds: 0)
        try await running(set) {
            set.want([])
            try await eventually { set.states["a"] == .stopping }
            set.want([Item(name: "a")])
            gate.request()
            try await eventually { [journal] in journal.count("make a") == 2 && set.states["a"] == .running }
        }
    }

    @Test("a stop does not wait for what settles, and nothing is started after it")
    func stopWhileSettling() async throws {
        let gate = StopSignal()
        let set = slow(gate, drainLimitSeconds: 3_600)
        let stop = StopSignal()
        try await set.prepare(stop: stop)
        async let end: Void = set.run(stop: stop)
        set.want([Item(name: "b")])
        try await eventually { set.states["a"] == .stopping }
        stop.request()
        gate.request()
        try await end
        #expect(journal.entries == ["make a"])
    }

    @Test("an item without a service is no fault")
    func nothingToRun() async throws {
        let set = services([Item(name: "a", value: -1), Item(name: "b")])
        try await running(set) { #expect(set.states == ["b": .running]) }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct ReloadRequestsTests {
    @Test("a storm of SIGHUP ends nothing and is heard")
    func storm() async throws {
        ReloadRequests.catchSignal()
        // Before anybody listens it is kept.
        kill(getpid(), SIGHUP)
        try await Task.sleep(for: .milliseconds(20))
        let heard = Journal()
        ReloadRequests.listen { heard.note("heard") }
        for _ in 0..<500 { kill(getpid(), SIGHUP) }
        while heard.entries.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        ReloadRequests.listen(nil)
    }
}

@Suite struct SourcesFreshnessTests {
    @Test("together they are as bad as the worst, and what waits is summed up")
    func worst() {
        let fresh = Freshness(.fresh, eventsBehind: 2, waitMilliseconds: 5, generation: 1, indexVersion: 7)
        let late = Freshness(
            .late, reason: "slow", eventsBehind: 3, waitMilliseconds: 9, generation: 1, indexVersion: 8)
        let both = Freshness(of: [("a", fresh), ("b", late)])
        #expect(both.state == .late && both.reason == "b: slow")
        #expect(both.eventsBehind == 5 && both.waitMilliseconds == 9 && both.indexVersion == 8)
        let unknown = Freshness(of: [("a", fresh), ("b", .notLookedAt)])
        #expect(unknown.state == .unknown && unknown.eventsBehind == nil)
        #expect(Freshness(of: [("a", late)]) == late, "one source says what it said before there were several")
        #expect(Freshness(of: []) == .notLookedAt)
    }

    @Test("a source of which nothing was ever known says nothing of the others")
    func newSource() {
        let (fresh, all) = (FreshnessBoard(clock: { 0 }), SourcesFreshness())
        let absent = FreshnessBoard(clock: { 0 })
        func look(_ doubt: String? = nil) -> IndexLook {
            IndexLook(
                generation: 1, indexVersion: 1, indexedAtMilliseconds: nil, places: [:], atMilliseconds: 0, doubt: doubt
            )
        }
        #expect(all.current.objection(all.limits) != nil)
        let both = SourcesFreshness(boards: [("a", fresh), ("b", absent)])
        absent.note(look("the source topic does not exist"))
        #expect(both.current.state == .unknown, "nothing is known of any")
        fresh.note(look())
        #expect(both.current.state == .fresh)
        #expect(both.bySource.map(\.freshness.state) == [.fresh, .unknown], "each by itself is told as it is")
        _ = both.board(of: "c")
        #expect(both.current.state == .fresh)
        absent.note(look())
        absent.note(look("the source topic does not exist"))
        #expect(both.current.state == .unknown && both.current.reason.hasPrefix("b: "), "it was there")
    }

    @Test("a source that nothing of this process fills any more is not late for that")
    func unfollowed() {
        let all = SourcesFreshness()
        all.unfollow("a")
        #expect(all.bySource.isEmpty)
        let board = FreshnessBoard(clock: { 0 })
        let one = SourcesFreshness(boards: [("a", board)])
        board.follow { SourceFacts(disconnectedMilliseconds: 60_000) }
        let look = IndexLook(
            generation: 1, indexVersion: 1, indexedAtMilliseconds: nil, places: [:], atMilliseconds: 0)
        board.note(look)
        #expect(one.current.state == .late)
        one.unfollow("a")
        board.note(look)
        #expect(one.current.state == .fresh)
    }
}
