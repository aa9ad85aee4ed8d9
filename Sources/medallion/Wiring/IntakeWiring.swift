import API
import Kafka
import KafkaAccess
import Postgres
import Records
import Settings
import Sources
import Store
import Telemetry

/// Documents on their way from the API to the topics.
extension Platform {
    /// What the API needs to take documents, and to say when they can be found.
    func intakeDesk(_ database: PostgresConfiguration, _ declarations: Declarations) -> IntakeDesk {
        let store = SharedStore(database)
        let publisher = RecordPublisher(
            { [self] in kafka("intake") }, plan: { [settings] in TopicPlan(source: settings, topic: $0) },
            logger: context.logger.scoped("intake"))
        return IntakeDesk(
            sources: { declarations.current.sources }, wishes: { [sourceRequests] in sourceRequests.wishes(of: $0) },
            wishesFault: { [sourceRequests] in sourceRequests.fault }, publisher: publisher,
            reached: { timeout in
                try store.run { store in
                    let offsets = try store.reached(timeoutMilliseconds: timeout).nextOffsets
                    // Read after the offsets: what they say is visible in this version.
                    let version = try store.status(timeoutMilliseconds: timeout).indexVersion
                    return IntakeDesk.IndexReach(nextOffsets: offsets, indexVersion: version)
                }
            },
            shown: { tenant, place, offsets, timeout in
                try store.run {
                    try $0.shownCount(of: offsets, in: place, tenant: tenant, timeoutMilliseconds: timeout)
                }
            })
    }

    /// What the API needs to read documents by their ids.
    func documentShelf(_ database: PostgresConfiguration, _ declarations: Declarations) -> DocumentShelf {
        DocumentShelf(
            sources: { declarations.current.sources }, makeStore: { SearchStore(configuration: database) })
    }
}
