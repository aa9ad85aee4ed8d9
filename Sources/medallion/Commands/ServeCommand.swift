import Console
import Health
import ServiceLifecycle

/// `medallion serve`: the HTTP API.
struct ServeCommand: Command {
    static let name = "serve"
    static let summary = "Serves the HTTP API and the page at API_LISTEN."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        try platform.checkModelSettings()
        let health = HealthRegistry()
        let board = platform.freshnessBoard()
        let api = try platform.apiService(
            health: health, freshness: board, pipeline: { nil }, stages: { board.servingStages })
        try await context.run(
            context.probeServices(platform.servingPages(health, board)) + platform.databaseServices() + [
                platform.freshnessService(board), platform.sizeService(of: []), api,
            ])
    }
}
