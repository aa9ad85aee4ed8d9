import Indexer
import Lake
import ServiceLifecycle

extension Platform {
    /// Beside the indexers, before they start: applies to the index what is erased from the lake.
    func erasureApplying() -> any Service {
        DeferredService(name: "erasures") { [self] in
            let log = ErasureLog(layout: try LakeLayout(settings))
            return ErasureApplying(
                database: try database("erasures"),
                readLog: { try log.erased().map { ($0.erasure, $0.records, $0.lookedTo) } },
                stamp: { "\(String(describing: log.stamp()))" },
                logger: context.logger.scoped("erasures"))
        }
    }
}
