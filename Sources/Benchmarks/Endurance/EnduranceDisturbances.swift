import Bytes
import Glibc

/// What happens to the roles, by a seed: kills, pauses, full disks, a broker or a database that is away.
///
/// Used by the scene's thread only.
struct EnduranceDisturbances {
    /// How often what was done.
    private(set) var counts: [String: Int] = [:]
    private let scene: EnduranceScene
    private var random: SeededGenerator
    private var due: Int64
    private var stopped: (processes: [Int32], until: Int64)?
    private var full: (part: EnduranceDisk.Part, until: Int64)?

    /// Between two disturbances.
    private static let gapMilliseconds = 800...4_000
    private static let awayMilliseconds = 3_000...8_000
    private static let pauseMilliseconds = 300...5_000
    private static let restartMilliseconds = 0...700

    init(_ scene: EnduranceScene, seed: UInt64) {
        self.scene = scene
        random = SeededGenerator(seed: seed)
        due = EnduranceScene.now() + 2_000
    }

    /// Does what is due, and ends what has lasted for long enough.
    mutating func tick() {
        let now = EnduranceScene.now()
        if stopped != nil || full != nil { scene.expectTrouble(milliseconds: 0) }
        end(whatIsOverAt: now)
        guard now >= due else { return }
        disturb(now)
        due = EnduranceScene.now() + Int64(draw(Self.gapMilliseconds))
    }

    /// Ends everything at once.
    mutating func calm() {
        if stopped != nil || full != nil { scene.expectTrouble(milliseconds: 0) }
        end(whatIsOverAt: .max)
    }

    private mutating func end(whatIsOverAt now: Int64) {
        if let stopped, now >= stopped.until {
            for process in stopped.processes { kill(process, SIGCONT) }
            self.stopped = nil
        }
        if let full, now >= full.until, scene.disk?.heal(full.part) ?? true { self.full = nil }
    }

    private mutating func disturb(_ now: Int64) {
        let roles = EnduranceRole.allCases
        switch Int.random(in: 0..<17, using: &random) {
        case 0..<7:
            let role = roles[Int.random(in: 0..<roles.count, using: &random)]
            if scene.take(role, milliseconds: draw(Self.restartMilliseconds)) { count("killed: \(role.rawValue)") }
        case 7:
            if let first = scene.postgresProcesses.first, kill(first, SIGKILL) == 0 {
                scene.expectTrouble(milliseconds: 0)
                count("killed: postgres")
            }
        case 8..<12:
            let role = roles[Int.random(in: 0..<roles.count, using: &random)]
            if scene.pause(role, milliseconds: draw(Self.pauseMilliseconds)) { count("paused: \(role.rawValue)") }
        case 12:
            let processes = scene.postgresProcesses
            guard stopped == nil, !processes.isEmpty else { return }
            for process in processes { kill(process, SIGSTOP) }
            stopped = (processes, now + Int64(draw(Self.pauseMilliseconds)))
            count("paused: postgres")
        case 13:
            if scene.take(.broker, milliseconds: draw(Self.awayMilliseconds)) { count("away: broker") }
        case 14:
            // It belongs to one of the two, and ends with it.
            let milliseconds = draw(Self.awayMilliseconds)
            let hadIndex = scene.take(.index, milliseconds: milliseconds)
            let hadServe = scene.take(.serve, milliseconds: milliseconds)
            if hadIndex || hadServe { count("away: database") }
        default:
            let parts = EnduranceDisk.Part.allCases
            let part = parts[Int.random(in: 0..<parts.count, using: &random)]
            let until = now + Int64(draw(Self.awayMilliseconds))
            guard full == nil, scene.disk?.fill(part) == true else { return }
            full = (part, until)
            count("disk full: \(part.rawValue)")
        }
    }

    private mutating func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func count(_ what: String) {
        counts[what, default: 0] += 1
        scene.logger.debug("endure: \(what)")
    }
}
