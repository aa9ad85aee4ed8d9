import API
import Health
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Telemetry

/// What operators ask of sources, on its way from the API or a command to connectors and to what takes documents.
extension Platform {
    /// Hands requests to the topic.
    func sourceRequestPublisher() -> SourceRequestPublisher {
        SourceRequestPublisher(
            { [self] in kafka("source-requests") }, plan: TopicPlan(sourceRequests: settings),
            logger: context.logger.scoped("source-requests"))
    }

    /// Reads the topic for this process. Before connectors are started, which wait for it.
    func sourceRequestFollowing() -> any Service {
        SourceRequestFollowing(
            { [self] in kafka("source-requests") }, plan: TopicPlan(sourceRequests: settings), board: sourceRequests,
            logger: context.logger.scoped("source-requests"))
    }

    /// Shows what keeps the topic from being read: until it was read once, no source is read, and none takes documents.
    func registerSourceRequests(in health: HealthRegistry) {
        health.register("source requests", isRequired: false) { [sourceRequests] in
            sourceRequests.fault.map { HealthReport(.failed, $0) } ?? HealthReport(.ok)
        }
    }

    /// What the API needs for it.
    func sourceDesk(_ declarations: Declarations) -> SourceDesk {
        let publisher = sourceRequestPublisher()
        return SourceDesk(
            sources: { declarations.current.sources },
            publish: { request, timeout in try publisher.publish(request, timeoutMilliseconds: timeout) },
            wishes: { [sourceRequests] in sourceRequests.wishes(of: $0) })
    }
}
