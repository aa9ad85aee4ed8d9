package import Arms
package import Records
import Retrieval
package import Store

/// An index with its arms in memory: what is written is in them after ``follow()``.
package final class ArmsScene {
    /// Bytes for the arms of one tenant with some documents, and no rows.
    package static let bytesWithoutRows = 3_600_000

    package let shared: SharedArms
    package let store: ArmedStore
    package private(set) var events: [ArmsKeeper.Event] = []
    private let tenants: [TenantID]
    private let keeper: ArmsKeeper
    private let log: Log

    private final class Log { var events: [ArmsKeeper.Event] = [] }

    package init(
        _ fixture: IndexFixture, tenants: [TenantID] = [.standard], model: String = "test", bytesMax: Int = 1 << 30,
        staleMilliseconds: Int = 0, files: ArmsFiles? = nil
    ) {
        self.tenants = tenants
        let shared = SharedArms(staleMilliseconds: staleMilliseconds)
        self.shared = shared
        let log = Log()
        self.log = log
        keeper = ArmsKeeper(
            configuration: fixture.configuration, shared: shared, bytesMax: bytesMax, files: files,
            expiryMilliseconds: 0
        ) { log.events.append($0) }
        store = ArmedStore(SearchStore(configuration: fixture.configuration, model: model), shared: shared)
    }

    /// Looks at the index, as often as it takes to load all tenants.
    package func follow() throws {
        defer { events = log.events }
        for _ in tenants { try keeper.round(of: tenants) { false } }
    }

    /// What is in memory of a tenant.
    package func size(of tenant: TenantID = .standard) -> ArmsSize? { shared.sizes[tenant] }
}
