import Bytes
import Concurrency
import Glibc
import Telemetry

/// Resident memory of `medallion up` over time, at a steady rate of events.
struct MemoryBench {
    let minutes: Double
    let rate: Double
    let recording: String?
    let logger: Logger

    private static let sampleEverySeconds = 10.0

    func run() async throws -> BenchReport {
        try await Lane(name: "bench").run { try measure() }
    }

    private func measure() throws -> BenchReport {
        let deployment = try BenchDeployment(rate: rate, recording: recording, logger: logger)
        defer { deployment.stop() }
        try deployment.waitUntilIndexing()
        let documentsBefore = try deployment.documentsIndexed()
        let start = SystemClock.monotonicNanoseconds()
        var samples: [(minute: Double, megabytes: Double)] = []
        var postgresMax = 0.0
        while true {
            let minute = Double(SystemClock.monotonicNanoseconds() - start) / 60e9
            samples.append((minute, ProcessMemory.residentMegabytes(of: deployment.upProcess)))
            postgresMax = max(postgresMax, ProcessMemory.proportionalMegabytes(of: deployment.postgresProcesses()))
            if minute >= minutes { break }
            Pause.milliseconds(Int(Self.sampleEverySeconds * 1_000))
        }
        let documents = try deployment.documentsIndexed() - documentsBefore
        let values = samples.map(\.megabytes)
        // Buffers and caches fill first; whether it stays flat shows behind that.
        let settled = samples.filter { $0.minute >= minutes / 3 }
        return BenchReport(
            title: "memory: medallion up at \(rate) events/s for \(minutes) minutes, sampled every "
                + "\(Int(Self.sampleEverySeconds)) s",
            figures: [
                BenchFigure("documents indexed", documents, ""),
                BenchFigure("resident, first", values.first ?? 0, "MB"),
                BenchFigure("resident, largest", values.max() ?? 0, "MB", target: "wanted: under 700"),
                BenchFigure("resident, last", values.last ?? 0, "MB"),
                BenchFigure("slope behind the first third", Self.slope(settled), "MB/min", target: "wanted: flat"),
                BenchFigure("resident, Postgres, largest", postgresMax, "MB", target: "shared pages counted once"),
            ])
    }

    /// Least squares.
    static func slope(_ samples: [(minute: Double, megabytes: Double)]) -> Double {
        guard samples.count > 1 else { return 0 }
        let count = Double(samples.count)
        let meanX = samples.reduce(0) { $0 + $1.minute } / count
        let meanY = samples.reduce(0) { $0 + $1.megabytes } / count
        let covariance = samples.reduce(0) { $0 + ($1.minute - meanX) * ($1.megabytes - meanY) }
        let variance = samples.reduce(0) { $0 + ($1.minute - meanX) * ($1.minute - meanX) }
        return variance == 0 ? 0 : covariance / variance
    }
}
