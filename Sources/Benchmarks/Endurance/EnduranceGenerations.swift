import Bytes
import Console
import Glibc
import JSONScan
import Lake

/// Replays, promotions, rollbacks and prunes beside everything else, some cut short in the middle.
///
/// All generations are made by the same logic, so that each complete one has to hold what the first one does. The first
/// is never pruned, and is the active one at the end. Used by the scene's thread only.
final class EnduranceGenerations {
    private(set) var counts: [String: Int] = [:]
    private let scene: EnduranceScene
    private let reader: LakeReader
    private var random: SeededGenerator
    private var queue: [[String]] = []
    private var current: Running?
    private var pruning: Int32?
    private var due: Int64
    private var number = 0

    private struct Running {
        let arguments: [String]
        let log: String
        let child: Int32
        let deadline: Int64
        /// When it is killed; nil for never.
        let killAt: Int64?
        /// When what it makes is pruned behind its back; nil for never.
        var pruneAt: Int64?
    }

    private static let secondsMax: Int64 = 120
    private static let gapMilliseconds = 1_000...6_000
    /// Of one replay of a range; replays of everything come while there is no more than that.
    private static let offsetsMax: Int64 = 5_000
    /// Beside the first.
    private static let fedMax = 3

    init(_ scene: EnduranceScene, seed: UInt64) {
        self.scene = scene
        reader = LakeReader(layout: LakeLayout(root: scene.lakeFolder))
        random = SeededGenerator(seed: seed)
        due = EnduranceScene.now() + 5_000
    }

    func tick() throws {
        let now = EnduranceScene.now()
        if let child = pruning, let ending = scene.ending(of: child) {
            count(ending.isSuccess ? "pruned during a replay" : "prune during a replay refused")
            pruning = nil
        }
        if var running = current {
            if let at = running.pruneAt, now >= at, pruning == nil, let made = underConstruction {
                pruning = try scene.spawn("prune-\(number)", ["generations", "--prune", "\(made)"])
                running.pruneAt = nil
                current = running
            }
            if now >= running.deadline || now >= running.killAt ?? .max { kill(running.child, SIGKILL) }
            guard let ending = scene.ending(of: running.child) else { return }
            current = nil
            finished(running, isSuccess: ending.isSuccess, wasKilled: ending == .signalled(SIGKILL))
            due = now + Int64(Int.random(in: Self.gapMilliseconds, using: &random))
        } else if now >= due {
            try begin(queue.isEmpty ? next() : queue.removeFirst(), now)
        }
    }

    /// Waits for what is under way, gives up what is half made, and goes back to the first generation.
    func calm() throws {
        let deadline = EnduranceScene.now() + Self.secondsMax * 1_000
        queue = []
        while current != nil || pruning != nil {
            try scene.tick()
            due = .max
            try tick()
            guard EnduranceScene.now() < deadline + 10_000 else { throw Failure("a replay does not end") }
            Pause.milliseconds(50)
        }
        queue = []
        try scene.wait("the generations to be put in order", seconds: 180) {
            for made in try generations() where made.state == .created {
                guard try scene.runCommand(["generations", "--prune", "\(made.number)"]).isSuccess else { return false }
            }
            return try scene.runCommand(["promote", "1"]).isSuccess
        }
    }

    /// Those that have to be complete.
    func complete() throws -> [Int64] {
        try generations().filter { $0.state != .pruned && $0.state != .created }.map(\.number)
    }

    /// A replay and a promotion that nobody disturbs, and back; the number of what it made.
    func replayInPeace() throws -> Int64 {
        for arguments in [["replay", "--all", "--json"], ["promote", ""], ["promote", "1"]] {
            let last = try generations().map(\.number).max() ?? 0
            let words = arguments.map { $0.isEmpty ? "\(last)" : $0 }
            let (isSuccess, output) = try scene.runCommand(words)
            guard isSuccess else {
                throw Failure("\(words.joined(separator: " ")) failed with nothing in its way: \(output.suffix(600))")
            }
        }
        return try generations().map(\.number).max() ?? 0
    }

    private func generations() throws -> [LakeGeneration] { try GenerationLog(layout: reader.layout).read() }

    private var underConstruction: Int64? { try? generations().last { $0.state == .created }?.number }

    /// What to do when nothing is planned.
    private func next() throws -> [String] {
        let others = try generations().filter { $0.isFed && $0.number > 1 }
        if others.count >= Self.fedMax, let oldest = others.first(where: { $0.state != .active }) {
            return ["generations", "--prune", "\(oldest.number)"]
        }
        if let half = others.first(where: { $0.state == .created }) {
            return ["generations", "--prune", "\(half.number)"]
        }
        guard let source = try reader.sources().randomElement(using: &random),
            let range = try reader.committedRange(source), !range.isEmpty
        else { return ["replay", "--all", "--json"] }
        guard range.end - range.start > Self.offsetsMax || Bool.random(using: &random) else {
            return ["replay", "--all", "--json"]
        }
        let end = Int64.random(in: range.start + 1...range.end, using: &random)
        let from = Int64.random(in: max(range.start, end - Self.offsetsMax)..<end, using: &random)
        return ["replay", "--partition", "\(source.partition)", "--from", "\(from)", "--to", "\(end)", "--json"]
    }

    private func begin(_ arguments: [String], _ now: Int64) throws {
        number += 1
        let log = "generations-\(number)"
        let isReplay = arguments[0] == "replay"
        let draw = Int.random(in: 0..<8, using: &random)
        let moment = now + Int64.random(in: 100...3_000, using: &random)
        current = Running(
            arguments: arguments, log: log, child: try scene.spawn(log, arguments, ["LOG_LEVEL": "error"]),
            deadline: now + Self.secondsMax * 1_000, killAt: draw == 0 || (isReplay && draw == 1) ? moment : nil,
            pruneAt: isReplay && draw == 2 ? moment : nil)
    }

    private func finished(_ running: Running, isSuccess: Bool, wasKilled: Bool) {
        let what = running.arguments[0] == "generations" ? "prune" : running.arguments[0]
        count("\(what) " + (isSuccess ? "done" : wasKilled ? "killed" : "failed"))
        if !isSuccess && !wasKilled {
            scene.logger.debug("endure: \(what) failed", ["output": String(scene.output(of: running.log).suffix(400))])
        }
        guard isSuccess, what == "replay",
            let line = scene.output(of: running.log).split(separator: "\n").last(where: { $0.hasPrefix("{") }),
            let made = try? JSONValue.parse(Array(line.utf8))["generation"]?.integer
        else { return }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: queue = [["generations", "--prune", "\(made)"]]
        case 1: queue = [["promote", "\(made)"], ["promote", "1"], ["generations", "--prune", "\(made)"]]
        case 2: queue = [["promote", "\(made)"], ["promote", "1"]]
        default: queue = []
        }
    }

    private func count(_ what: String) { counts[what, default: 0] += 1 }
}
