import Indexer
import Records
import Retrieval
import ServiceLifecycle
import Settings
import Sources
import Store

extension VectorGraph {
    /// How graphs are built, by the settings.
    init(_ settings: Settings) {
        // Postgres refuses fewer than twice the links.
        self.init(
            m: settings.index.graphLinks,
            efConstruction: max(settings.index.graphCandidates, 2 * settings.index.graphLinks),
            waitingMax: settings.index.graphWaiting)
    }
}

extension IndexRetention {
    /// What is kept, by settings and declarations.
    init(_ settings: Settings, _ sources: [SourceDeclaration]) {
        self.init(
            historyHours: settings.index.historyHours,
            expiries: sources.map { source in
                Expiry(
                    tenant: source.tenant, collection: source.collection.name,
                    days: source.collection.retentionDays ?? settings.index.retentionDays)
            })
    }
}

extension Platform {
    /// Keeps the index small and quick beside the indexers. Behind the database's services.
    func upkeepService(_ declarations: Declarations) -> any Service {
        DeferredService(name: "index upkeep") { [self] in
            let settings = settings
            var configuration = IndexUpkeepConfiguration(
                database: try database("upkeep"),
                retention: { IndexRetention(settings, declarations.current.sources) })
            configuration.graph = VectorGraph(settings)
            configuration.load = indexingLoad
            configuration.answers = AnswerBounds(settings)
            return IndexUpkeepService(
                configuration: configuration, metrics: context.metrics, logger: context.logger.scoped("upkeep"))
        }
    }
}
