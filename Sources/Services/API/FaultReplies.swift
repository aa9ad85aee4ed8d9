import Bytes
import Concurrency
import Embeddings
import HTTPEndpoints
import HTTPServer
import Kafka
import Lake
import Postgres
import Retrieval
import Store
import Telemetry
import Text

/// What is replied to requests that failed.
struct FaultReplies: Sendable {
    let access: AccessGuard
    let logger: Logger

    /// Every failure is a reply, in the shape that clients of the path expect.
    func reply(to error: any Error, _ path: String, _ request: HTTPRequest) -> HTTPResponse {
        ErrorShape(path: path).response(told(error, path, request), requestID: request.id)
    }

    /// What a client is told of any failure.
    func told(_ error: any Error, _ path: String, _ request: HTTPRequest) -> APIError {
        let told: APIError
        let error: any Error = if let late = error as? WaitError { APIError(late) } else { error }
        switch error {
        case let error as APIError:
            if error.status >= 500 { logger.requestFailed(error.description, path, requestID: request.id) }
            told = error
        case let fault as HTTPFault: told = APIError(fault)
        case let gone as IndexVersionGone:
            told = APIError(
                status: 410, type: "index_version_gone",
                message: "\(gone) (INDEX_HISTORY_HOURS); begin again without the cursor")
        case let erased as ErasedAnswer: told = APIError(status: 410, type: "erased", message: "\(erased)")
        case let mismatch as ModelMismatch:
            logger.requestFailed("\(mismatch)", path, requestID: request.id)
            told = APIError(
                status: 503, type: "model_mismatch",
                message:
                    "\(mismatch): search by mode \"lexical\", or serve with the index's model (MODEL_DIR, EMBED_URL)")
        case is CancellationError:
            told = APIError(status: 503, type: "cancelled", message: "the request was cancelled")
        default:
            // Everything the handlers call is a dependency (index, lake, model).
            told = reply(toFault: error, path, request)
        }
        return told
    }

    /// What a client is told of a dependency's error: which dependency, and where to look. The error itself holds addresses,
    /// statements and paths, which go to the log under the request's id, and to administrators of the platform.
    private func reply(toFault error: any Error, _ route: String, _ request: HTTPRequest) -> APIError {
        logger.requestFailed("\(error)", route, requestID: request.id)
        let name = Self.dependency(of: error)
        guard access.isPlatformAdmin(request) else {
            return .unavailable(name, "it failed; the log says why, under the request's id")
        }
        return .unavailable(name, Snippet.head(of: "\(error)", charactersMax: 500))
    }

    /// The dependency that an error is about, in a client's words.
    private static func dependency(of error: any Error) -> String {
        switch error {
        case is IndexError, is PostgresError: "the index"
        case is LakeError: "the lake"
        case is KafkaError: "the broker"
        case is EmbeddingError: "the embedding model"
        default: "a dependency"
        }
    }
}

extension Logger {
    /// For what a request met that its client is not told.
    func requestFailed(_ message: String, _ route: String, requestID: String) {
        warning("request failed", ["route": route, "request_id": requestID, "error": message])
    }
}
