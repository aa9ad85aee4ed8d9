import Bytes
import Concurrency
import Console
import Files
import Glibc
import HTTPClient
import JSONScan
import Processes
import Telemetry

/// Hostile clients of every kind at the whole platform, and what ordinary ones notice of them.
///
/// A calm phase right before says what is ordinary on this machine. The attacks come from a process of their own and from
/// other addresses of the loopback network than the ordinary clients, so that limits per address can tell them apart.
struct HostileBench {
    let options: HostileOptions
    let logger: Logger

    static let eventsPerSecond = 100.0
    private static let warmUpSeconds = 5
    private static let eachSeconds = 15
    private static let recoverySeconds = 10
    private static let catchUpSecondsMax = 60
    private static let fillers = 8
    /// Numbers of edits, so that no two phases write the same.
    private static let editsPerPhase = 1_000_000

    /// As it is by default elsewhere.
    private static var anonymousWork: Int { 600 * max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// What `auto` stands for where strangers ask: on the loopback interface it would be any number.
    static func settings(addressRate: Int) -> [String: String] {
        [
            "API_ANONYMOUS_READ": "auto", "API_ADDRESS_RATE": "\(addressRate)", "API_CONNECTIONS_PER_ADDRESS": "1000",
            "API_STREAMS_PER_ADDRESS": "100", "API_ANONYMOUS_WORK": "\(anonymousWork)",
        ]
    }

    func run() async throws -> BenchReport {
        let bench = self
        return try await Lane(name: "bench").run { try bench.measure() }
    }

    private func measure() throws -> BenchReport {
        let deployment = try BenchDeployment(
            rate: Self.eventsPerSecond, recording: nil, settings: Self.settings(addressRate: options.addressRate),
            keepsLog: true, executable: options.platform, logger: logger)
        defer { deployment.stop() }
        do {
            return try measure(deployment)
        } catch {
            // Its folder goes, and with it the log.
            throw Failure("\(error); the platform's last words:\n\(deployment.lastWords)")
        }
    }

    private func measure(_ deployment: BenchDeployment) throws -> BenchReport {
        try deployment.waitUntilIndexing()
        let key = try makeKey(deployment)
        try fill(deployment)
        let keptUp = try deployment.waitUntilCaughtUp(rate: Self.eventsPerSecond)
        if !keptUp { logger.warning("the pipeline does not keep up with the events; measuring nevertheless") }
        var number = 1
        func phase(_ name: String, seconds: Int, _ attacks: [Attack] = []) throws -> HostilePhase {
            logger.info("hostile: \(name), \(seconds) s")
            number += 1
            return try HostilePhase.measure(
                name, deployment, key: key, attacks: attacks, seconds: seconds, seed: options.seed &+ UInt64(number),
                firstEdit: number * Self.editsPerPhase)
        }
        _ = try phase("warm-up", seconds: Self.warmUpSeconds)
        let calm = try phase("calm", seconds: options.calmSeconds)
        var each: [HostilePhase] = []
        if options.attacksEach {
            for attack in options.attacks {
                each.append(try phase(attack.name, seconds: Self.eachSeconds, [attack]))
                try recover(deployment, secondsMax: Self.eachSeconds)
            }
        }
        let hostile = try phase("all attacks at once", seconds: options.seconds, options.attacks)
        let seconds = try recover(deployment)
        let after = try phase("afterwards", seconds: Self.recoverySeconds)
        return HostileReport(
            options: options, keptUp: keptUp, calm: calm, each: each, hostile: hostile, after: after,
            recoverySeconds: seconds
        ).report()
    }

    private func makeKey(_ deployment: BenchDeployment) throws -> String {
        let output = try deployment.launch("keys.log", ["keys", "create", "ordinary", "--json"]).output(within: 60)
        for line in output.split(separator: "\n") where line.hasPrefix("{") {
            if let key = try? JSONValue.parse(Array(line.utf8))["key"]?.string { return key }
        }
        throw Failure("`medallion keys create` printed no key: \(output.suffix(400))")
    }

    /// Documents enough that what reads all of them takes its time.
    private func fill(_ deployment: BenchDeployment) throws {
        logger.info("hostile: \(options.fill) documents come into the index")
        let goal = try deployment.documentsIndexed() + Double(options.fill)
        let crew = Crew()
        for filler in 0..<Self.fillers {
            try crew.add("fill-\(filler)") { [options] in
                let client = HTTPClient()
                for number in stride(from: filler, to: options.fill, by: Self.fillers) {
                    try EditProbes.inject(BenchEdit(number: number), client, deployment.simulator)
                }
            }
        }
        let seconds = 60 + options.fill / 10
        try crew.wait(seconds: seconds)
        for _ in 0..<seconds * 5 {
            if try deployment.documentsIndexed() >= goal { return }
            Pause.milliseconds(200)
        }
        throw Failure("\(options.fill) documents did not come into the index within \(seconds) s")
    }

    /// Waits until the platform has caught up and lets go of the attackers' connections.
    ///
    /// - Returns: how long that took, seconds; nil where it did not within the limit.
    @discardableResult
    private func recover(_ deployment: BenchDeployment, secondsMax: Int = catchUpSecondsMax) throws -> Double? {
        let start = SystemClock.monotonicNanoseconds()
        for _ in 0..<secondsMax * 5 {
            guard deployment.isUp else { throw Failure("the platform ended") }
            let lag = (try? deployment.recordsWaiting()) ?? .infinity
            if lag < Self.eventsPerSecond / 2 {
                return Double(SystemClock.monotonicNanoseconds() - start) / 1e9
            }
            Pause.milliseconds(200)
        }
        return nil
    }
}
