import API
import Health
import Indexer
import ServiceLifecycle
import Settings
import Synchronization
import Telemetry

extension FreshnessLimits {
    /// As the settings say.
    init(_ settings: Settings) {
        func milliseconds(_ seconds: Double) -> Int64 { Int64(seconds * 1_000) }
        self.init(
            eventsBehindMax: Int64(settings.readyLagMax), lateMilliseconds: milliseconds(settings.freshLateSeconds),
            staleMilliseconds: milliseconds(settings.freshStaleSeconds),
            unknownMilliseconds: milliseconds(settings.freshUnknownSeconds),
            silentMilliseconds: milliseconds(settings.freshSilentSeconds))
    }
}

extension Platform {
    /// What holds the index's freshness in a process that serves it, with its series.
    func freshnessBoard() -> FreshnessBoard {
        let board = FreshnessBoard(limits: FreshnessLimits(settings))
        FreshnessMetrics.register(context.metrics, board)
        return board
    }

    /// Looks at broker and database for the board; the same in `serve` and `up`, and no indexer is asked.
    func freshnessService(_ board: FreshnessBoard) -> any Service {
        let probe = Mutex<IndexLagProbe?>(nil)
        return FreshnessWatch(board: board, logger: context.logger.scoped("freshness")) { [self] in
            // Embedded parts have addresses once they run.
            let known = try probe.withLock { probe in
                let known =
                    try probe
                    ?? IndexLagProbe(
                        kafka: kafka("freshness"), database: database("freshness"), topic: settings.kafkaTopic)
                probe = known
                return known
            }
            return try known.look()
        }
    }

    /// The pages of a process that serves the index.
    func servingPages(_ health: HealthRegistry, _ board: FreshnessBoard) -> HealthPages {
        HealthPages(health, freshness: { (board.current, board.limits) }, version: Medallion.version)
    }
}

extension FreshnessBoard {
    /// What a process knows of the stages that runs none of them but the last.
    var servingStages: [PipelineStage] {
        let now = current
        return [
            PipelineStage(
                name: "searchable", lag: now.eventsBehind, lastEventMilliseconds: now.indexedAtMilliseconds)
        ]
    }
}
