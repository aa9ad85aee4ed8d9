import Bytes
import Console
import Glibc
import HTTPClient
import JSONScan

/// One stretch of time at one kind of load.
struct HostilePhase: Sendable {
    let name: String
    let seconds: Double
    let ordinary: OrdinaryClients.Results
    let edits: EditProbes.Results
    let readers: OrdinaryReaders.Results
    /// From an event's broker time until it was searchable, for all events; seconds.
    let freshness: HistogramWindow
    let documentsPerSecond: Double
    /// The most that the serving process had resident, MiB.
    let peakMegabytes: Double
    /// Processor time, cores.
    let upCores: Double
    let postgresCores: Double
    /// Of the attacks.
    let attackCores: Double
    let openFiles: Int
    let tallies: [AttackTally]
    let findings: [String]

    /// Blocks for the time.
    static func measure(
        _ name: String, _ deployment: BenchDeployment, key: String, attacks: [Attack], seconds: Int, seed: UInt64,
        firstEdit: Int
    ) throws -> HostilePhase {
        let up = deployment.upProcess
        // Its backends come and go.
        func postgresSeconds() -> Double {
            ProcessTable.processorSeconds(of: deployment.postgresProcesses(), withReaped: true)
        }
        try ProcessPeak.reset(up)
        let before = try page(deployment)
        let processor = (
            ProcessTable.processorSeconds(of: [up]), postgresSeconds(),
            SystemClock.monotonicNanoseconds()
        )
        let attackers = try attacks.isEmpty ? nil : launch(attacks, deployment, seconds: seconds, seed: seed)
        let clients = try OrdinaryClients(api: deployment.api, key: key, seconds: seconds, seed: seed)
        let probes = try EditProbes(deployment, key: key, seconds: seconds, first: firstEdit)
        let readers = try OrdinaryReaders(port: deployment.apiPort, seconds: seconds)
        Pause.milliseconds(max(0, seconds * 1_000 - 500))
        let openFiles = ProcessPeak.openFiles(up)
        Pause.milliseconds(500)
        let elapsed = Double(SystemClock.monotonicNanoseconds() - processor.2) / 1e9
        let upCores = (ProcessTable.processorSeconds(of: [up]) - processor.0) / elapsed
        let postgresCores = (postgresSeconds() - processor.1) / elapsed
        // Now, and not when the last late reply has come: what is indexed meanwhile was not under attack.
        let after = try page(deployment)
        let counted = Double(SystemClock.monotonicNanoseconds() - processor.2) / 1e9
        let output = try attackers?.output(within: 30) ?? ""
        let ordinary = try clients.wait()
        let edits = try probes.wait()
        let read = try readers.wait()
        guard deployment.isUp else { throw Failure("the platform ended during “\(name)”") }
        let tallies = output.split(separator: "\n").compactMap { AttackTally(line: $0.utf8) }
        let documents = [after, before].map { BenchDeployment.value(of: "medallion_index_documents_total", in: $0) }
        return HostilePhase(
            name: name, seconds: elapsed, ordinary: ordinary, edits: edits, readers: read,
            freshness: HistogramWindow("medallion_index_freshness_seconds", before: before, after: after),
            documentsPerSecond: (documents[0] - documents[1]) / counted,
            peakMegabytes: ProcessPeak.megabytes(up), upCores: upCores, postgresCores: postgresCores,
            attackCores: attackSeconds(output) / elapsed, openFiles: openFiles, tallies: tallies,
            findings: findings(attacks, tallies, seconds: Double(seconds), output: output))
    }

    /// Starts the attacks as a process of their own, which ends by itself.
    private static func launch(
        _ attacks: [Attack], _ deployment: BenchDeployment, seconds: Int, seed: UInt64
    ) throws -> BenchChild {
        try deployment.launch(
            "attack.log",
            [
                "bench", "clients", "--attack", attacks.map(\.name).joined(separator: ","), "--port",
                "\(deployment.apiPort)", "--seconds", "\(seconds)", "--seed", "\(seed)",
            ])
    }

    private static func attackSeconds(_ output: String) -> Double {
        output.split(separator: "\n").lazy.filter { $0.hasPrefix("{") }
            .compactMap { (try? JSONValue.parse(Array($0.utf8)))?["processor_seconds"]?.double }.first ?? 0
    }

    /// An attack that did nothing proves nothing.
    private static func findings(
        _ attacks: [Attack], _ tallies: [AttackTally], seconds: Double, output: String
    ) -> [String] {
        attacks.flatMap { attack -> [String] in
            guard let tally = tallies.first(where: { $0.name == attack.name }) else {
                return ["\(attack.name) told nothing of itself: \(output.suffix(200))"]
            }
            return tally.findings(attack, seconds: seconds)
        }
    }

    /// The metrics, asked for until they come: just now the server may have other things to do.
    private static func page(_ deployment: BenchDeployment) throws -> [UInt8] {
        for _ in 0..<20 {
            if let page = try? deployment.metricsPage(), !page.isEmpty { return page }
            Pause.milliseconds(250)
        }
        return try deployment.metricsPage()
    }
}
