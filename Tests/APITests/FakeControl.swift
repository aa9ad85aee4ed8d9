import Concurrency
import Records
import Store
import Synchronization

@testable import API

/// A control that notes what it is asked for.
final class FakeControl: PlatformControl {
    let calls = Mutex<[String]>([])
    let started = Mutex<ReplayStart?>(nil)
    /// Looks at the replay until it is over.
    let looksLeft = Mutex(2)

    private func note(_ call: String) { calls.withLock { $0.append(call) } }
    /// As the document has it.
    private func view(_ state: String) -> [UInt8] {
        Array(
            #"""
            {"id":"2","dry_run":false,"generation":2,"state":"\#(state)","phase":"records","topics":["t"],"model":null,"paused":false,\#
            "rate":0,"wanted_offsets":9,"done_offsets":3,"offsets_per_second":1.5,"seconds_left":null,"added":0,"changed":0,\#
            "removed":0,"unchanged":3,"embedded":0,"inherited":0,"embeddings_needed":null,\#
            "embeddings_needed_is_least":false,"error":"","key":null,\#
            "started_at":"2026-01-01T00:00:00Z","report":null}
            """#.utf8)
    }

    func generations() async throws -> [[UInt8]] {
        [
            Array(
                #"""
                {"generation":1,"is_active":true,"lake_state":"active","index_state":"active","logic_version":"v","logics":{},\#
                "parent":null,"documents":0,"model":null,"checkpoints":[]}
                """#.utf8)
        ]
    }
    func promote(_ generation: Int64, waitMilliseconds: Int) async throws {
        note("promote \(generation) \(waitMilliseconds)")
    }
    func prune(_ generation: Int64) async throws { note("prune \(generation)") }
    func logics() async throws -> [[UInt8]] {
        [
            Array(
                #"""
                {"source":"a","topic":"t","collection":"c","logic_version":"v","declared":{"type":"recent_change"},\#
                "served_logic_version":null,"served":null}
                """#.utf8)
        ]
    }
    func replays() async throws -> [[UInt8]] { [view("done")] }
    func replay(_ id: String) async throws -> (json: [UInt8], isOver: Bool)? {
        guard id == "2" else { return nil }
        let isOver = looksLeft.withLock { left in
            left -= 1
            return left < 0
        }
        return (view(isOver ? "done" : "running"), isOver)
    }
    func start(_ start: ReplayStart) async throws -> [UInt8] {
        started.withLock { $0 = start }
        return view("running")
    }
    func change(_ id: String, isPaused: Bool?, rate: Int?) async throws -> [UInt8] {
        note("change \(id) \(isPaused.map { "\($0)" } ?? "-") \(rate ?? -1)")
        return view("paused")
    }
    func end(_ id: String) async throws -> [UInt8] {
        note("end \(id)")
        return view("failed")
    }
    func quarantined(_ selection: QuarantineSelection, deadline: Deadline) async throws -> QuarantineListing {
        note("quarantine \(selection.rule ?? "") \(selection.limit)" + (selection.cursor.map { " from \($0)" } ?? ""))
        return QuarantineListing(
            records: [
                Array(
                    #"""
                    {"topic":"t","partition":0,"offset":3,"time":"2026-01-01T00:00:00Z","rule":"r","reason":"","detail":"",\#
                    "event_id":null,"bronze_sha256":"","value_bytes":1,"state":"open","redriven_to":null}
                    """#.utf8)
            ], nextCursor: "1~t~0.3", hasMore: true
        )
    }
    func quarantinedRecord(_ selection: QuarantineSelection, deadline: Deadline) async throws -> [UInt8]? {
        guard selection.topic == "t", selection.partition == 0, selection.offsets?.start == 3 else { return nil }
        return Array(
            #"""
            {"topic":"t","partition":0,"offset":3,"time":"2026-01-01T00:00:00Z","rule":"r","reason":"","detail":"",\#
            "event_id":null,"bronze_sha256":"","value_bytes":1,"state":"open","redriven_to":null,"discard_reason":"",\#
            "logic_version":"v","value_base64":"eA==","value_is_cut":false}
            """#.utf8)
    }
    func change(
        _ selection: QuarantineSelection, _ change: QuarantineChange, deadline: Deadline
    ) async throws -> [[UInt8]] {
        note("\(change.way) \(selection.offsets.map { "\($0)" } ?? "all") \(change.forces) \(change.isDryRun)")
        return []
    }
}

/// Golden queries in memory.
final class FakeGoldenShelf: GoldenShelf {
    private let queries = Mutex<[GoldenQuery]>([])

    func list(_ tenant: TenantID) async throws -> [GoldenQuery] { queries.withLock { $0 } }

    func put(_ query: GoldenQuery, of tenant: TenantID) async throws -> Bool {
        queries.withLock { queries in
            queries.removeAll { $0.name == query.name }
            // Each is asked twice for a comparison.
            guard queries.count < 5 else { return false }
            queries.append(query)
            return true
        }
    }

    func remove(_ name: String, of tenant: TenantID) async throws -> Bool {
        queries.withLock { queries in
            let count = queries.count
            queries.removeAll { $0.name == name }
            return queries.count < count
        }
    }
}
