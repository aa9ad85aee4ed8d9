import Derivation
import Lake
import Synchronization
import Telemetry

/// Whose logic runs: that which the active generation stores. A declaration makes a topic's first logic, and candidates.
extension StreamJob {
    /// Makes the topic known to the lake's generations where it is not, and tells once where the declared logic is another
    /// one than the active generation's.
    func adoptLogic() throws {
        let declared = try TopicLogic(options.logic, tenant: options.tenant, collection: options.collection)
        let log = GenerationLog(layout: LakeLayout(root: options.lakeDirectory))
        let active = try log.adopt(options.topic, declared)
        guard let stored = active.logic.logic(of: options.topic), stored != declared else {
            return state.withLock { $0.differingLogic = nil }
        }
        let difference = "\(active.number) \(stored.logicVersion) \(declared.logicVersion)"
        let isKnown = state.withLock { state in
            defer { state.differingLogic = difference }
            return state.differingLogic == difference
        }
        guard !isKnown else { return }
        logger.warning(
            "the declared logic is not the active generation's, which goes on; `medallion replay` makes a candidate of the "
                + "declared one (docs/troubleshooting.md)",
            [
                "source": options.source, "topic": options.topic, "generation": String(active.number),
                "runs": stored.logicVersion, "declared": declared.logicVersion,
                "differs": Self.differences(stored, declared).joined(separator: ", "),
            ])
    }

    private static func differences(_ stored: TopicLogic, _ declared: TopicLogic) -> [String] {
        var names: [String] = []
        if stored.logicVersion != declared.logicVersion { names.append("logic") }
        if stored.collection != declared.collection { names.append("collection") }
        if stored.tenant != declared.tenant { names.append("tenant") }
        return names
    }
}
