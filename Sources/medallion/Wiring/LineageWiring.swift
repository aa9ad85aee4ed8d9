import Bytes
import OpenLineage
import ServiceLifecycle
import Settings
import Telemetry

extension Settings.Telemetry {
    /// Where run events are posted.
    fileprivate var lineageAddress: SecretURL {
        let base = lineageURL.revealed
        return SecretURL((base.hasSuffix("/") ? String(base.dropLast()) : base) + "/" + lineageEndpoint)
    }
}

extension Platform {
    /// What sends run events to OpenLineage, made at the first call; empty where no target is set.
    ///
    /// - Throws: ``Failure`` where a key cannot be read.
    func lineageEmitters() throws -> [LineageEmitter] {
        if let made = state.withLock({ $0.lineage }) { return made }
        let telemetry = settings.telemetry
        var targets: [LineageTarget] = []
        if !telemetry.lineageFile.isEmpty { targets.append(.file(telemetry.lineageFile)) }
        if !telemetry.lineageURL.isEmpty {
            let key = try LanguageModels.key(
                telemetry.lineageKey, in: telemetry.lineageKeyFile, named: "OPENLINEAGE_API_KEY")
            targets.append(
                .server(url: telemetry.lineageAddress, key: key.isEmpty ? nil : key))
        }
        let emitters = targets.map { target in
            LineageEmitter(
                target,
                names: { [self] in
                    let broker = brokers.split(separator: ",").first.map(String.init) ?? brokers
                    return LineageNames(jobNamespace: settings.telemetry.lineageNamespace, broker: broker)
                },
                metrics: context.metrics, logger: context.logger.scoped("openlineage"))
        }
        return state.withLock { state in
            let made = state.lineage ?? emitters
            state.lineage = made
            return made
        }
    }

    /// Who is told what runs read and write; nil where nobody is.
    func runSink() throws -> (any RunEventSink)? {
        let emitters = try lineageEmitters()
        return emitters.isEmpty ? nil : RunEventSinks(emitters)
    }

    /// Runs `body`, and meanwhile sends what runs tell, for commands; returns when that is sent, or as soon as
    /// ``LineageEmitter`` gives up.
    func sendingRuns<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        let stop = StopSignal()
        let sending = try lineageEmitters().map { emitter in Task { try await emitter.run(stop: stop) } }
        let outcome: Result<T, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        stop.request()
        for task in sending { _ = await task.result }
        return try outcome.get()
    }
}
