import Bytes
import Concurrency
import HTTPServer
import Health

extension SearchAPI {
    /// `GET /health`: every dependency with its state. 503 when one that searching needs has failed.
    ///
    /// - Parameter isDetailed: whether the caller may see more than the state: addresses, versions, errors.
    func health(isDetailed: Bool) -> HTTPResponse {
        .fresh(
            pages.health(isDetailed: isDetailed) { writer in
                writer.key("pipeline")
                writer.pipeline(dependencies.pipeline(), dependencies.freshness())
            })
    }

    /// `GET /ready`: whether this process should be asked.
    ///
    /// - Parameter isDetailed: whether the caller may see the reasons.
    func ready(isDetailed: Bool) -> HTTPResponse { .fresh(pages.ready(isDetailed: isDetailed)) }

    /// `GET /live`: the process answers.
    func live() -> HTTPResponse { .fresh(pages.live()) }

    /// Checks of what the API itself talks to. The others are registered by whoever starts them.
    func registerOwnChecks() {
        dependencies.health.register("index", isRequired: true) { [self] in
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let status = try await healthStores.run(deadline: deadline) { store, timeout in
                try store.status(timeoutMilliseconds: timeout)
            }
            return HealthReport(
                .ok, status.serverVersion,
                detail: [
                    ("generation", String(status.generation)), ("index_version", String(status.indexVersion)),
                    ("indexed_at", status.indexedAtMilliseconds.map { CivilTime.rfc3339($0) } ?? "never"),
                ])
        }
        guard let embedder = dependencies.embedder else {
            dependencies.health.register("embedding", isRequired: false) {
                HealthReport(.degraded, "switched off (EMBED_ENABLED): only the lexical arm is served")
            }
            return
        }
        dependencies.health.register("embedding", isRequired: false) {
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let vectors = try await embedder.vectors(of: ["health"], deadline: deadline)
            return HealthReport(
                .ok, embedder.modelName, detail: [("dimensions", String(vectors.first?.count ?? 0))])
        }
    }
}

extension HTTPResponse {
    fileprivate static func fresh(_ page: HealthPages.Page) -> HTTPResponse { .fresh(page.body, status: page.status) }
}
