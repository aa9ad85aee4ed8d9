import Bytes
import Embeddings
import HTTPServer
import Kafka
import Lake
import Postgres
import Retrieval
import Store

extension SearchAPI {
    /// What a client is told of a dependency's error: which dependency, and where to look. The error itself holds addresses,
    /// statements and paths, which go to the log under the request's id, and to holders of an administrator's key.
    func reply(toFault error: any Error, _ route: String, _ request: HTTPRequest) -> APIError {
        log("\(error)", route, requestID: request.id)
        let name = Self.dependency(of: error)
        guard access.isAdmin(request) else {
            return .unavailable(name, "it failed; the log says why, under the request's id")
        }
        return .unavailable(name, Snippet.head(of: "\(error)", charactersMax: 500))
    }

    /// The dependency that an error is about, in a client's words.
    static func dependency(of error: any Error) -> String {
        switch error {
        case is IndexError, is PostgresError: "the index"
        case is LakeError: "the lake"
        case is KafkaError: "the broker"
        case is EmbeddingError: "the embedding model"
        default: "a dependency"
        }
    }
}
