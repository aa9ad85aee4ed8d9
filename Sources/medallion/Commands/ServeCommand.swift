import Console
import Health
import KafkaAccess
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
        let declarations = try Declarations(platform)
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: true)
        declarations.register(in: health)
        platform.registerSourceRequests(in: health)
        let api = try platform.apiService(
            declarations, health: health, freshness: board, pipeline: { _ in nil },
            sources: { tenant in
                board.statuses(
                    of: declarations.current, tenant: tenant, wishes: { platform.sourceRequests.wishes(of: $0) })
            })
        // What tells OpenLineage of replays that are asked for over HTTP is stopped last, when all is told.
        let emitters: [any Service] = try platform.lineageEmitters()
        try await context.run(
            emitters + context.probeServices(platform.servingPages(health, board))
                + platform.databaseServices(for: .serving) + [
                    roles.freshness(board), platform.sizeService(of: []), platform.modelService(),
                    platform.sourceRequestFollowing(),
                    platform.sourceOutcomeReporter(pushed: { declarations.pushedSources }), api, declarations,
                ])
    }
}
