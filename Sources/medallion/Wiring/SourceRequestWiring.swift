import API
import Health
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Sources
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

    /// Tells in the topic what became of requests. Behind what reads the topic, and before what heeds them.
    ///
    /// - Parameter pushed: the sources whose documents this process takes itself.
    func sourceOutcomeReporter(pushed: @escaping @Sendable () -> [String] = { [] }) -> SourceOutcomeReporter {
        let publisher = sourceRequestPublisher()
        return SourceOutcomeReporter(
            board: sourceRequests, pushed: pushed,
            publish: { entry, timeout in try publisher.publish(entry, timeoutMilliseconds: timeout) },
            logger: context.logger.scoped("source-requests"))
    }

    /// Shows what keeps the topic from being read: until it was read once, no source is read, and none takes documents.
    func registerSourceRequests(in health: HealthRegistry) {
        health.register("source requests", isRequired: false) { [sourceRequests] in
            if let fault = sourceRequests.fault { return HealthReport(.failed, fault) }
            return sourceRequests.doubt.map { HealthReport(.degraded, $0) } ?? HealthReport(.ok)
        }
    }

    /// What the API needs for it.
    func sourceDesk(_ declarations: Declarations) -> SourceDesk {
        let publisher = sourceRequestPublisher()
        return SourceDesk(
            sources: { declarations.current.sources },
            publish: { request, timeout in try publisher.publish(.request(request), timeoutMilliseconds: timeout) },
            wishes: { [sourceRequests] in sourceRequests.wishes(of: $0) },
            wishesFault: { [sourceRequests] in sourceRequests.fault })
    }
}

extension Declarations {
    /// Names of the sources whose documents come over HTTP.
    var pushedSources: [String] { current.sources.filter(\.connector.isPushed).map(\.name.text) }
}
