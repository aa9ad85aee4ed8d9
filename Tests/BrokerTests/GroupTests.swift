import Bytes
import Testing

@testable import Broker

/// The state machine of a consumer group, with time as a number.
struct GroupTests {
    /// A group with the answers it gave, by token.
    private final class Scene {
        var group = ConsumerGroup(id: "g")
        var now: Int64 = 1_000
        var answers: [Int: GroupReply] = [:]
        private var nextToken = 0
        private var nextID = 0

        func take() {
            for (token, reply) in group.replies { answers[token] = reply }
            group.replies = []
        }

        func join(
            _ member: String = "", instance: String? = nil, metadata: UInt8 = 1, protocols: [String] = ["range"],
            twice: Bool = false, skips: Bool = false, delay: Int64 = 0
        ) -> Int {
            nextToken += 1
            nextID += 1
            let join = GroupJoin(
                memberID: member, instanceID: instance, sessionMilliseconds: 10_000, rebalanceMilliseconds: 60_000,
                protocols: protocols.map { GroupProtocol(name: $0, metadata: [metadata]) }, mustJoinTwice: twice,
                knowsSkippedAssignment: skips)
            group.join(join, newID: "m\(nextID)", token: nextToken, initialDelay: delay, now: now)
            take()
            return nextToken
        }

        func sync(
            _ member: String, generation: Int32? = nil, _ assignments: [(String, [UInt8])] = []
        ) -> Int {
            nextToken += 1
            let request = SyncGroupRequest(
                group: "g", generation: generation ?? group.generation, memberID: member,
                assignments: assignments.map { (memberID: $0.0, assignment: $0.1) })
            group.sync(request, token: nextToken, now: now)
            take()
            return nextToken
        }

        func heartbeat(_ member: String, generation: Int32? = nil, instance: String? = nil) -> ErrorCode {
            group.heartbeat(
                HeartbeatRequest(
                    group: "g", generation: generation ?? group.generation, memberID: member, instanceID: instance),
                now: now)
        }

        func pass(_ milliseconds: Int64) {
            now += milliseconds
            group.expire(now: now)
            take()
        }

        func joined(_ token: Int) -> JoinOutcome? {
            if case .join(let outcome) = answers[token] { outcome } else { nil }
        }

        func synced(_ token: Int) -> SyncOutcome? {
            if case .sync(let outcome) = answers[token] { outcome } else { nil }
        }

        /// Two members with assignments: the leader `m1` and `m2`.
        static func stable() -> Scene {
            let scene = Scene()
            _ = scene.join(delay: 100)
            _ = scene.join(delay: 100)
            scene.pass(100)
            let follower = scene.sync("m2")
            let leader = scene.sync("m1", [("m1", [1]), ("m2", [2])])
            #expect(scene.synced(leader)?.assignment == [1] && scene.synced(follower)?.assignment == [2])
            #expect(scene.group.state == .stable && scene.group.leader == "m1" && scene.group.generation == 1)
            return scene
        }
    }

    @Test("A group forms: the first delay gathers members, the leader learns all, the assignments go round")
    func formation() {
        let scene = Scene()
        let first = scene.join(delay: 100)
        scene.pass(50)
        let second = scene.join(delay: 100)
        scene.pass(60)
        #expect(scene.answers.isEmpty, "the second prolonged the delay")
        scene.pass(40)
        #expect(scene.joined(first)?.members.map(\.id) == ["m1", "m2"])
        #expect(scene.joined(second)?.members.isEmpty == true && scene.joined(second)?.leader == "m1")
        #expect(scene.group.state == .completing && scene.heartbeat("m2") == .none)
        _ = Scene.stable()
    }

    @Test("A member without an id is given one and counts once it comes back with it")
    func requiredID() {
        let scene = Scene()
        let first = scene.join(twice: true)
        #expect(scene.joined(first)?.error == .memberIDRequired && scene.joined(first)?.memberID == "m1")
        #expect(scene.group.members.isEmpty && !scene.group.isEmpty)
        let again = scene.join("m1", twice: true)
        #expect(scene.joined(again)?.error == ErrorCode.none && scene.joined(again)?.leader == "m1")
        let stranger = scene.join("somebody")
        #expect(scene.joined(stranger)?.error == .unknownMemberID)
        let forgotten = Scene()
        _ = forgotten.join(twice: true)
        forgotten.pass(10_000)
        #expect(forgotten.group.isEmpty)
        #expect(forgotten.joined(forgotten.join("m1"))?.error == .unknownMemberID)
    }

    @Test("A newcomer makes the others join again; who does not in time is left out")
    func rebalance() {
        let scene = Scene.stable()
        let third = scene.join()
        #expect(scene.group.state == .preparing && scene.heartbeat("m1") == .rebalanceInProgress)
        #expect(scene.synced(scene.sync("m2"))?.error == .rebalanceInProgress)
        let first = scene.join("m1")
        #expect(scene.answers[third] == nil)
        // The second keeps its session alive, but does not join before the rebalance is over.
        for _ in 0..<12 {
            scene.pass(5_000)
            _ = scene.heartbeat("m2")
        }
        #expect(scene.joined(first)?.generation == 2 && scene.joined(third)?.generation == 2)
        #expect(scene.joined(first)?.members.map(\.id) == ["m1", "m3"])
        #expect(scene.heartbeat("m2") == .unknownMemberID)
    }

    @Test("Members that fall silent or leave are replaced; an empty group keeps its generation")
    func silence() {
        let scene = Scene.stable()
        for _ in 0..<3 {
            scene.pass(4_000)
            #expect(scene.heartbeat("m1") == .none || scene.group.state == .preparing)
        }
        #expect(scene.group.members.keys.sorted() == ["m1"] && scene.group.state == .preparing)
        let alone = scene.join("m1")
        #expect(scene.joined(alone)?.generation == 2 && scene.joined(alone)?.members.map(\.id) == ["m1"])
        #expect(scene.group.leave("m1", nil, now: scene.now) == .none)
        #expect(scene.group.state == .empty && scene.group.isEmpty && scene.group.generation == 3)
        #expect(scene.group.leave("m1", nil, now: scene.now) == .unknownMemberID)
        let newcomer = scene.join()
        #expect(scene.joined(newcomer)?.generation == 4)
    }

    @Test("A leader that brings no assignment is left out after the time for a rebalance")
    func silentLeader() {
        let scene = Scene()
        _ = scene.join(delay: 10)
        _ = scene.join(delay: 10)
        scene.pass(10)
        let waiting = scene.sync("m2")
        for _ in 0..<13 {
            scene.pass(5_000)
            _ = scene.heartbeat("m1")
        }
        #expect(scene.synced(waiting)?.error == .rebalanceInProgress)
        #expect(scene.group.members.keys.sorted() == ["m2"])
        let second = scene.join("m2")
        #expect(scene.joined(second)?.leader == "m2")
    }

    @Test("Generations fence: heartbeats, syncs and commits of another one are refused")
    func generations() {
        let scene = Scene.stable()
        #expect(scene.heartbeat("m1", generation: 0) == .illegalGeneration)
        #expect(scene.synced(scene.sync("m1", generation: 7))?.error == .illegalGeneration)
        func commit(_ member: String, _ generation: Int32) -> ErrorCode {
            scene.group.checkCommit(generation: generation, memberID: member, instanceID: nil, now: scene.now)
        }
        #expect(commit("m1", 1) == .none && commit("m1", 0) == .illegalGeneration)
        #expect(commit("m9", 1) == .unknownMemberID)
        #expect(commit("", -1) == .unknownMemberID, "nobody commits beside members")
        _ = scene.join()
        #expect(commit("m1", 1) == .none, "before joining again is the time to commit")
        _ = scene.join("m1")
        _ = scene.join("m2")
        #expect(scene.group.state == .completing && commit("m1", 2) == .rebalanceInProgress)
        #expect(commit("m1", 1) == .illegalGeneration)
    }

    @Test("A static member comes back unnoticed with its assignment, and whom it replaces is fenced")
    func staticMembers() {
        let scene = Scene()
        _ = scene.join(instance: "a", delay: 10)
        _ = scene.join(instance: "b", delay: 10)
        scene.pass(10)
        _ = scene.sync("m2")
        _ = scene.sync("m1", [("m1", [1]), ("m2", [2])])
        let again = scene.join(instance: "b", metadata: 9)
        #expect(scene.joined(again)?.error == ErrorCode.none && scene.joined(again)?.generation == 1)
        let id = scene.joined(again)?.memberID ?? ""
        #expect(scene.synced(scene.sync(id))?.assignment == [2] && scene.group.state == .stable)
        #expect(scene.heartbeat("m2", instance: "b") == .fencedInstanceID)
        #expect(scene.heartbeat("m2") == .unknownMemberID)
        #expect(scene.heartbeat("m1", instance: "nobody") == .unknownMemberID)
        #expect(scene.group.checkCommit(generation: 1, memberID: "m2", instanceID: "b", now: 0) == .fencedInstanceID)
        // The leader: a client that knows of skipped assignments leads on, another takes itself for a follower.
        let newLeader = scene.join(instance: "a", skips: true)
        #expect(scene.joined(newLeader)?.skipsAssignment == true && scene.joined(newLeader)?.members.count == 2)
        let leaderID = scene.joined(newLeader)?.memberID ?? ""
        #expect(scene.joined(newLeader)?.leader == leaderID && scene.group.leader == leaderID)
        let oldStyle = scene.join(instance: "a")
        #expect(scene.joined(oldStyle)?.leader == leaderID && scene.joined(oldStyle)?.memberID != leaderID)
        #expect(scene.group.leave("", "b", now: scene.now) == .none, "as an administrator removes one")
        #expect(scene.group.state == .preparing)
    }

    @Test("A static member replaced while it waits is told so, and a pending join is answered once")
    func replacedWhileWaiting() {
        let scene = Scene.stable()
        let waiting = scene.join(instance: "a")
        let usurper = scene.join(instance: "a")
        #expect(scene.joined(waiting)?.error == .fencedInstanceID && scene.answers[usurper] == nil)
        let twice = scene.join("m1")
        let latest = scene.join("m1")
        #expect(scene.joined(twice)?.error == .rebalanceInProgress && scene.answers[latest] == nil)
        _ = scene.join("m2")
        #expect(scene.joined(latest)?.error == ErrorCode.none && scene.joined(usurper)?.error == ErrorCode.none)
    }

    @Test("The protocol that all members have and most prefer is taken; who shares none is refused")
    func protocols() {
        let scene = Scene()
        let first = scene.join(protocols: ["cooperative", "range"], delay: 10)
        _ = scene.join(protocols: ["range", "sticky"], delay: 10)
        let odd = scene.join(protocols: ["sticky"], delay: 10)
        #expect(scene.joined(odd)?.error == .inconsistentGroupProtocol)
        scene.pass(10)
        #expect(scene.joined(first)?.protocolName == "range")
    }

    @Test("A repeated join changes nothing: a follower keeps its generation, the leader's begins another")
    func repeatedJoins() {
        let scene = Scene.stable()
        let follower = scene.join("m2")
        #expect(scene.joined(follower)?.generation == 1 && scene.group.state == .stable)
        _ = scene.join("m2", metadata: 5)
        #expect(scene.group.state == .preparing)
        let leader = scene.join("m1")
        #expect(scene.joined(leader)?.members.map(\.metadata) == [[1], [5]])
        let lost = scene.join("m1")
        #expect(scene.joined(lost)?.generation == 2 && scene.joined(lost)?.members.count == 2)
    }

    @Test("Whatever members do and however long they wait, the group stays sound", arguments: [UInt64(1), 2, 3, 4])
    func soundness(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let scene = Scene()
        var tokens: Set<Int> = []
        for _ in 0..<20_000 {
            let member = scene.group.members.keys.sorted().randomElement(using: &random) ?? ""
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                let instance = Bool.random(using: &random) ? "i\(Int.random(in: 0..<3, using: &random))" : nil
                tokens.insert(scene.join(instance: instance, delay: 50))
            case 2, 3: tokens.insert(scene.join(member, metadata: UInt8.random(in: 0...2, using: &random)))
            case 4, 5: tokens.insert(scene.sync(member, scene.group.members.keys.map { ($0, Array($0.utf8)) }))
            case 6: _ = scene.heartbeat(member)
            case 7:
                _ = scene.group.leave(member, nil, now: scene.now)
                scene.take()
            default: scene.pass(Int64.random(in: 0...7_000, using: &random))
            }
            let group = scene.group
            let waiting = group.members.values.filter { $0.joining != nil }
            #expect(
                group.state != .stable || (waiting.isEmpty && group.members.values.allSatisfy { $0.syncing == nil }))
            #expect(group.state != .empty || group.members.isEmpty)
            #expect(group.members.isEmpty || group.leader.map { group.members[$0] != nil } == true)
            #expect(group.staticMembers.allSatisfy { group.members[$0.value]?.instanceID == $0.key })
        }
        // Time alone ends every wait.
        for _ in 0..<40 { scene.pass(60_000) }
        #expect(tokens.isSubset(of: scene.answers.keys) && scene.group.isEmpty)
    }
}
