import EmbeddedPostgres
import HTTPClient
import Kafka
import Lake
import Postgres
import Simulator
import Store

/// Which errors mean that something we depend on cannot be reached (exit code 69).
enum Dependencies {
    static func isUnavailable(_ error: any Error) -> Bool {
        switch error {
        case let error as KafkaError: error.isRetriable
        case let error as PostgresError: error.isRetriable
        case let error as IndexError: error.isRetriable
        case let error as HTTPClientError: error.isRetriable
        case let error as SimulatorError: error.isRetriable
        case LakeError.storage(let error): error.isRetriable
        case is EmbeddedPostgresError: true
        default: false
        }
    }
}
