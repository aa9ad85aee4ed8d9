package import KafkaAccess
package import Lake
import Records
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Keeps what the suppressions' topic holds in the lake's log of them. Of processes that share a lake one writes, and another takes
/// over when that one ends. Drained means: nothing is read any more; what was not kept is read again at the next start.
package struct SuppressionLogging: Service {
    package let name = "suppression log"
    private let follower: SuppressionFollower
    private let log: SuppressionLog
    private let faults: SuppressionFaults
    private let logger: Logger

    private static let pauseMilliseconds = 1_000

    /// - Parameter faults: told of a log that cannot be opened.
    package init(
        _ follower: SuppressionFollower, log: SuppressionLog, faults: SuppressionFaults, logger: Logger
    ) {
        self.follower = follower
        self.faults = faults
        self.log = log
        self.logger = logger
    }

    package func run(stop: StopSignal) async throws {
        let writer = Mutex<SuppressionLog.Writer?>(nil)
        var isWaiting = false
        while !stop.isRequested {
            do {
                try writer.withLock { writer in writer = try log.open() }
                faults.clear(by: name)
                break
            } catch LakeError.quarantine(let reason) {
                faults.clear(by: name)
                if !isWaiting { logger.info("another process keeps the log of suppressions", ["why": "\(reason)"]) }
                isWaiting = true
                if await stop.pause(milliseconds: Self.pauseMilliseconds) { return }
            } catch {
                let reason = "the lake's log of suppressions cannot be opened: \(error)"
                if faults.note(reason, by: name) { logger.error("\(reason); tried again") }
                if await stop.pause(milliseconds: Self.pauseMilliseconds) { return }
            }
        }
        await follower.run(stop: stop) {
            writer.withLock { $0?.nextOffset }
        } take: { records in
            try writer.withLock { writer in
                try writer?.append(
                    records.compactMap { record in
                        record.entry.map { SuppressionLog.Entry(nextOffset: record.nextOffset, entry: $0) }
                    })
            }
        }
    }
}
