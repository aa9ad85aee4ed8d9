import EmbeddedPostgres
import Kafka
import Postgres
import ServiceLifecycle

extension Context {
    /// How to reach the broker: `KAFKA_BROKERS`, else the embedded one's address.
    func kafka(clientID: String) -> KafkaConfiguration {
        let logger = logger.scoped("kafka")
        return KafkaConfiguration(
            brokers: settings.kafkaBrokers.isEmpty ? "\(settings.brokerListen)" : settings.kafkaBrokers,
            clientID: "medallion-\(clientID)",
            logHandler: { line in
                // 0–3 are syslog's errors and worse, 4 warnings; what matters comes as errors of calls as well.
                if line.severity <= 4 { logger.debug(line.message, ["facility": line.facility]) }
            })
    }

    /// How to reach the index: `POSTGRES_DSN`, else the embedded Postgres that `medallion up` or `medallion postgres`
    /// runs over the same data folder.
    ///
    /// - Throws: ``Failure`` with exit code 69 where neither is there.
    func postgres(applicationName: String) throws -> PostgresConfiguration {
        if !settings.postgresDSN.isEmpty {
            return PostgresConfiguration(dsn: settings.postgresDSN, applicationName: "medallion-\(applicationName)")
        }
        guard let dsn = EmbeddedPostgres.runningDSN(folder: settings.postgresDirectory) else {
            throw Failure(
                "no Postgres runs over \(settings.postgresDirectory): start `medallion up` there, or set POSTGRES_DSN",
                code: .dependencyUnavailable)
        }
        return PostgresConfiguration(dsn: dsn, applicationName: "medallion-\(applicationName)")
    }
}
