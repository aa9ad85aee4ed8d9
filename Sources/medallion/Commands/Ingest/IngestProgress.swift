import Console
import Glibc
import Ingest
import Synchronization
import Telemetry

/// How far a run of `medallion ingest` is: a line that is written over on a terminal, else a line of the log now and then.
final class IngestProgress: Sendable {
    private static let barWidth = 30
    private static let nameWidth = 40
    private static let logNanoseconds: Int64 = 10_000_000_000

    private let bytesWanted: Int
    private let fileCount: Int
    private let isTerminal: Bool
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var startNanoseconds: Int64?
        var loggedNanoseconds: Int64 = 0
        var isShown = false
    }

    init(_ given: GivenFiles, _ context: Context) {
        bytesWanted = given.files.reduce(0) { $0 + $1.bytes }
        fileCount = given.files.count
        isTerminal = context.isTerminal
        logger = context.logger.scoped("ingest")
    }

    func show(_ figures: FileTally.Figures, now: Int64, isLast: Bool) {
        state.withLock { state in
            let start = state.startNanoseconds ?? now
            state.startNanoseconds = start
            let seconds = max(0.001, Double(now - start) / 1_000_000_000)
            let rate = Int(Double(figures.documents) / seconds)
            guard isTerminal else {
                if state.loggedNanoseconds == 0 { state.loggedNanoseconds = now }
                guard now - state.loggedNanoseconds >= Self.logNanoseconds else { return }
                state.loggedNanoseconds = now
                return log(figures, rate)
            }
            if isLast && !state.isShown { return }
            state.isShown = true
            // As long as the line before was, so that nothing of that stays.
            let line = line(figures, rate)
            let padded = line + String(repeating: " ", count: max(0, 110 - line.count))
            Output.complain("\r" + padded + (isLast ? "\n" : ""))
        }
    }

    private func log(_ figures: FileTally.Figures, _ rate: Int) {
        logger.info(
            "ingesting",
            [
                "files": "\(figures.files)", "of": "\(fileCount)", "documents": "\(figures.documents)",
                "rate": "\(rate)", "left_out": "\(figures.refused)", "file": figures.currentFile,
            ])
    }

    private func line(_ figures: FileTally.Figures, _ rate: Int) -> String {
        let tail =
            "\(figures.documents) documents  \(rate)/s  \(LogText.escaped(String(figures.currentFile.suffix(Self.nameWidth))))"
        // Nobody knows how much a pipe has.
        guard bytesWanted > 0 else { return tail }
        let share = min(1, Double(figures.bytes) / Double(bytesWanted))
        let filled = Int((share * Double(Self.barWidth)).rounded(.down))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.barWidth - filled)
        return "[\(bar)] \(Int(share * 100)) %  \(tail)"
    }
}
