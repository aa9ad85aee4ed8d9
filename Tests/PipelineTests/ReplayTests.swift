import Bytes
import Concurrency
import Files
import Glibc
import JSONScan
import PlatformTesting
import Processes
import ServiceLifecycle
import Synchronization
import Testing

extension PipelineTests {
    /// Changed logic over old events, beside the running pipeline: looked at, made, served, taken back.
    @Suite(.serialized) struct ReplayTests {
        /// Changes the text of documents that have a comment, and of no other.
        private static let template =
            "{title}[, with the remark: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)]."
        private static let newLogic = ["TEXT_TEMPLATE": template]
        private static let newLogicFile = #"{"type":"recent_change","template":"\#(template)"}"#
        /// Of the 22 documents of the hand-written events three have no comment, and two have the same text.
        private static let (changed, unchanged, changedTexts) = (Int64(19), Int64(3), Int64(18))

        @Test(.timeLimit(.minutes(10))) func changedTemplate() async throws {
            try await Deployment.run { deployment in
                let up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                let searches = try SearchLoop(deployment.api)
                defer { searches.stop() }
                var traces = AnswerTraces(deployment)
                try traces.ask("who painted the Golden Gate Bridge?")
                try traces.ask(Self.asked)
                #expect(try traces.expectAllToResolve("before") == 0)
                try traces.expectImpact(of: Self.bridge, generations: [1])

                let before = try Folder.allFiles(deployment.dataFolder + "/lake")
                let trial = try Self.replay(["--dry-run"], deployment, environment: Self.newLogic)
                #expect(trial["generation"]?.isNull == true)
                Self.expectCounts(trial)
                #expect(trial["embeddings_needed"]?.integer == Self.changedTexts)
                #expect(try Folder.allFiles(deployment.dataFolder + "/lake") == before)

                let file = deployment.dataFolder + "/logic.json"
                try File.replace(file, with: Array(Self.newLogicFile.utf8))
                let report = try Self.replay(["--logic", file], deployment)
                #expect(report["logics"] == trial["logics"])
                #expect(report["generation"]?.integer == 2)
                #expect(report["parent"]?.integer == 1)
                Self.expectCounts(report)
                #expect(report["embedded"]?.integer == Self.changedTexts)
                try Self.expectGenerations(deployment, active: 1, documents: [22, 22])
                #expect(try deployment.api.search("\"remark\"", mode: "lexical") == [])

                // What comes from now on is made by both logics.
                try Self.inject("Lichen", "A remarkable colony grows on the northern wall", deployment)
                try deployment.wait(for: "the new event") { try deployment.api.search("lichen").first == Self.newID }
                try deployment.command(["promote", "2"])
                try Self.expectNewLogic(deployment)
                try deployment.command(["promote", "1"])
                try Self.wait(for: 1, deployment)
                #expect(try deployment.api.search("\"remark\"", mode: "lexical") == [])
                try deployment.command(["promote", "2"])
                try Self.expectNewLogic(deployment)
                try Self.switchBackAndForth(deployment, searches)
                try Self.expectGenerations(deployment, active: 2, documents: [23, 23])
                #expect(try traces.expectAllToResolve("promoted") == 0)
                try traces.ask(Self.asked)
                try traces.ask("who painted the Golden Gate Bridge?")
                #expect(try traces.expectAllToResolve("asked again") == 0)
                try traces.expectImpact(of: Self.bridge, generations: [1, 2])

                searches.stop()
                _ = try deployment.command(["generations", "--prune", "1"])
                try traces.ask(Self.asked)
                #expect(try traces.expectAllToResolve("pruned") == 0)
                // Its files go, too: what they held is derived anew and compared.
                let pruned = ["gold", "silver"].map { deployment.lakeFolder + "/\($0)/generation=1" }
                let again = try traces.without(pruned) { try traces.expectAllToResolve("its files gone") }
                #expect(again > 10)

                #expect(searches.failures == [])
                #expect(searches.generations == [1, 2])
                try MovedLake.commitOften(deployment)
                #expect(try up.stop() == .exited(0))
                try Self.moveTheLake(deployment, &traces)
                try Self.expectStoredLogicToRun(deployment)
            }
        }

        /// The same answers, and some more, once the hours are sealed and their log entries merged, the files moved, and for a
        /// server that has no lake: from the broker, from the object storage, and not at all any more.
        private static func moveTheLake(_ deployment: Deployment, _ traces: inout AnswerTraces) throws {
            let lake = try MovedLake(deployment)
            #expect(try lake.sealAndMerge() > 0)
            let up = try deployment.start(
                "up", ["--url", deployment.streamURL], name: "up-moved", environment: lake.storage)
            try deployment.wait(for: "the API") {
                try !deployment.api.search("golden gate bridge").isEmpty
            }
            _ = try traces.expectAllToResolve("sealed and merged")
            try lake.move()
            _ = try traces.expectAllToResolve("moved", from: "object_storage")
            try traces.ask(Self.asked)
            _ = try traces.expectAllToResolve("asked of what is moved", from: "object_storage")

            let afar = try lake.serveWithoutFolder()
            try deployment.wait(for: "its index") { try !afar.search("golden gate bridge").isEmpty }
            let far = traces.seen(by: afar)
            _ = try far.expectAllToResolve("without the lake", from: "broker")
            try lake.trimTopic()
            _ = try far.expectAllToResolve("without lake and topic", from: "object_storage")
            try lake.giveUpBronze()
            try far.expectAllToBeGone()
            #expect(try up.stop() == .exited(0))
        }

        /// Questions of each state; in the long form a thousand in all.
        private static let asked = LongTests.areWanted ? 250 : 15

        /// The active generation switches beside searches without a pause: four times, ten in the long form, beside 10,000 searches.
        /// Prints how long it takes, the command's start included, until searches are of the other one.
        private static func switchBackAndForth(_ deployment: Deployment, _ searches: SearchLoop) throws {
            let (switches, wanted) = LongTests.areWanted ? (10, 10_000) : (4, 0)
            let before = searches.count
            for number in 0..<switches {
                let generation: Int64 = number.isMultiple(of: 2) ? 1 : 2
                let began = SystemClock.monotonicNanoseconds()
                try deployment.command(["promote", "\(generation)"])
                try wait(for: generation, deployment)
                print("to generation \(generation): \((SystemClock.monotonicNanoseconds() - began) / 1_000_000) ms")
                try deployment.wait(for: "searches", seconds: 300) {
                    searches.count - before >= wanted * (number + 1) / switches
                }
            }
        }

        private static func replay(
            _ arguments: [String], _ deployment: Deployment, environment: [String: String] = [:]
        ) throws -> JSONValue {
            let output = try deployment.command(["replay", "--all", "--json"] + arguments, environment: environment)
            return try JSONValue.parse(Array(output.utf8))
        }

        private static func expectCounts(_ report: JSONValue) {
            #expect(report["added"]?.integer == 0)
            #expect(report["changed"]?.integer == changed)
            #expect(report["removed"]?.integer == 0)
            #expect(report["unchanged"]?.integer == unchanged)
            let records = (report["ranges"]?.array ?? []).reduce(0) { sum, range in
                sum + (range["next_offset"]?.integer ?? 0) - (range["start_offset"]?.integer ?? 0)
            }
            #expect(records == 45)
        }

        private static func expectGenerations(_ deployment: Deployment, active: Int64, documents: [Int64]) throws {
            let lines = try deployment.command(["generations", "--json"]).split(separator: "\n")
            let rows = try lines.map { try JSONValue.parse(Array($0.utf8)) }
            #expect(rows.map { $0["generation"]?.integer } == [1, 2])
            #expect(rows.map { $0["is_active"]?.bool } == [active == 1, active == 2])
            #expect(rows.map { $0["documents"]?.integer } == documents)
            #expect(rows.map { $0["parent"]?.integer } == [nil, 1])
            #expect(rows[0]["logic_version"] != rows[1]["logic_version"])
            #expect(rows[0]["checkpoints"] == rows[1]["checkpoints"])
        }

        /// Waits until searches are of a generation: an index in memory follows a promotion a moment later.
        private static func wait(for generation: Int64, _ deployment: Deployment) throws {
            try deployment.wait(for: "searches of generation \(generation)") {
                try deployment.api.post("/search", [("query", .string("moss"))])["generation"]?.integer == generation
            }
        }

        private static func expectNewLogic(_ deployment: Deployment) throws {
            let api = deployment.api
            try wait(for: 2, deployment)
            let reply = try api.post("/search", [("query", .string("remark")), ("mode", .string("lexical"))])
            #expect(reply["generation"]?.integer == 2)
            #expect(reply["hits"]?.array?.isEmpty == false)
            #expect(try api.search("famous suspension bridge in California", mode: "vector").first == bridge)
            for (id, text) in [
                (bridge, "Golden Gate Bridge, with the remark: The bridge was painted"),
                (newID, "Lichen, with the remark: A remarkable colony"),
                // Unchanged: its passage is the parent's.
                (moss, "Moss. edit by Lena"),
            ] {
                let trace = try api.get("/trace/\(id)")
                #expect(trace["complete"]?.bool == true, "\(trace["problems"] ?? .null)")
                #expect(trace["generation"]?.integer == 2)
                #expect(trace["gold"]?["record"]?["text"]?.string?.hasPrefix(text) == true, "\(trace)")
                #expect(trace["bronze"]?.array?.first?["hash_ok"]?.bool == true)
            }
        }

        /// After a promotion a restart needs no other settings: it tells that they differ, and goes on.
        private static func expectStoredLogicToRun(_ deployment: Deployment) throws {
            let stream = try deployment.start("stream", name: "stored-stream")
            try deployment.wait(for: "word of the declared logic") {
                stream.output.contains("the declared logic is not the active generation's")
            }
            #expect(try stream.stop() == .exited(0))
        }

        // MARK: An event of our own

        private static let bridge = "00000000-0000-4000-8000-000000000001"
        private static let moss = "00000000-0000-4000-8000-000000000017"
        private static let newID = "00000000-0000-4000-8000-00000000abcd"

        private static func inject(_ title: String, _ comment: String, _ deployment: Deployment) throws {
            let event = """
                {"$schema":"/mediawiki/recentchange/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/\(title)",\
                "id":"\(newID)","dt":"2026-03-14T10:00:00Z","domain":"en.wikipedia.org"},"type":"edit","namespace":0,\
                "title":"\(title)","comment":"\(comment)","timestamp":1773482400,"user":"Sven","bot":false,\
                "minor":false,"length":{"old":1,"new":2},"revision":{"old":1,"new":2},"wiki":"enwiki"}
                """
            _ = try API(port: deployment.simulatorPort).post("/inject", raw: Array(event.utf8))
        }
    }
}

/// Searches without a pause from a thread of its own, and remembers what went wrong.
final class SearchLoop: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isStopped = false
        var isDone = false
        var failures: [String] = []
        var generations: Set<Int64> = []
        var count = 0
    }

    init(_ api: API) throws {
        let isStarted = Threads.start(name: "searches") { [self] in
            while !state.withLock({ $0.isStopped }) { search(api) }
            state.withLock { $0.isDone = true }
        }
        guard isStarted else { throw PipelineFailure("no thread for searches") }
    }

    /// Ends the searches; does nothing the second time.
    func stop() {
        state.withLock { $0.isStopped = true }
        while !state.withLock({ $0.isDone }) { usleep(1_000) }
    }

    var failures: [String] { state.withLock { $0.failures } }
    var generations: Set<Int64> { state.withLock { $0.generations } }
    /// Searches that ended.
    var count: Int { state.withLock { $0.count } }

    private func search(_ api: API) {
        do {
            let reply = try api.post("/search", [("query", .string("golden gate bridge"))])
            let generation = reply["generation"]?.integer ?? 0
            let hits = reply["hits"]?.array ?? []
            let first = hits.first
            let isNew = first?["snippet"]?.string?.contains("with the remark") == true
            // Each generation's row of a document has the logic that made it.
            let logics = Set(hits.compactMap { $0["lineage"]?["logic_version"]?.string })
            state.withLock { state in
                state.count += 1
                state.generations.insert(generation)
                if first?["title"]?.string != "Golden Gate Bridge" || isNew != (generation == 2) || logics.count != 1 {
                    state.failures.append("generation \(generation) gave \(first ?? .null), of logics \(logics)")
                }
            }
        } catch {
            state.withLock { $0.failures.append("\(error)") }
        }
        usleep(5_000)
    }
}
