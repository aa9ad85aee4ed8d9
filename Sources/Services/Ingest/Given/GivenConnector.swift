import Synchronization

/// Hands over given files and comes to an end: when all of them are read and everything has arrived.
package final class GivenConnector: SourceConnector {
    private let files: FilesConnector
    private let outcome: Outcome

    /// How the reading ended; set by the connector's lane, read by others.
    package final class Outcome: Sendable {
        private let state = Mutex<(isComplete: Bool, failure: String?)>((false, nil))

        package init() {}

        /// Whether all files were read, and all that was handed over has arrived.
        package var isComplete: Bool { state.withLock { $0.isComplete } }
        /// What ended the reading early; nil for nothing, or a stop.
        package var failure: String? { state.withLock { $0.failure } }

        /// Notes what ends the reading.
        package func fail(_ words: String) { state.withLock { $0.failure = words } }

        fileprivate func complete() { state.withLock { $0.isComplete = true } }
    }

    package let keepsItsPlace = true

    /// Of so many refusals the log has a line; the others are counted.
    private static let loggedMax = 1_000
    private var logged = 0
    private let logsRefusals: Bool

    /// Between two looks whether all has arrived.
    private static let waitMilliseconds = 20

    /// - Parameter logsRefusals: whether the log has lines of what is left out; not where a summary of them follows at once.
    /// - Throws: as ``FilesConnector``: where the state is damaged or in use.
    package init(
        _ given: GivenFiles, statePath: String, shape: DocumentShape, lineBytesMax: Int, logsRefusals: Bool = true,
        outcome: Outcome
    ) throws {
        self.logsRefusals = logsRefusals
        var options = FilesConnector.Options(folder: "", statePath: statePath)
        options.given = given
        options.shape = shape
        options.lineBytesMax = lineBytesMax
        files = try FilesConnector(options, scan: DocumentScan(idPath: shape.idPath))
        self.outcome = outcome
    }

    package func follow(_ intake: SourceIntake) throws {
        do {
            try read(intake)
        } catch let error as StopRequested {
            throw error
        } catch {
            outcome.fail("\(error)")
            throw error
        }
    }

    private func read(_ intake: SourceIntake) throws {
        var position: SourcePosition?
        intake.isReading()
        while !files.isDone {
            if intake.isStopRequested { throw StopRequested() }
            var batch = try files.next(after: position)
            position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
            files.count(batch)
            if !logsRefusals || logged >= Self.loggedMax { batch.remarks = [] }
            for index in batch.refusals.indices {
                logged += 1
                if !logsRefusals || logged > Self.loggedMax { batch.refusals[index].isLogged = false }
            }
            try intake.take(batch)
            try intake.wait(milliseconds: batch.pauseMilliseconds)
        }
        while !files.isSettled { try intake.wait(milliseconds: Self.waitMilliseconds) }
        // What was passed by behind the last document.
        try files.keepPlace()
        outcome.complete()
    }

    package func acknowledged(_ position: SourcePosition) throws { try files.acknowledged(position) }
}
