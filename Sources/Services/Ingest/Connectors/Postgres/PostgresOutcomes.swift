import Records

/// What became of what operators asked for is told.
extension PostgresConnector {
    /// Tells once what became of a request.
    func tell(_ id: String, _ state: SourceOutcome.State, _ reason: String = "") {
        let word = "\(id)/\(state.rawValue)"
        guard !told.contains(word) else { return }
        told = Array((told + [word]).suffix(4 * SourceWishes.snapshotsMax))
        options.report(id, state, reason)
    }

    /// Tells the end of what an earlier process brought to its end, and could not tell.
    func tellEnds(_ known: CaptureState) {
        for asked in options.requests() where known.over.contains(asked.id) {
            let isRefused = known.refused.contains(asked.id)
            tell(
                asked.id, isRefused ? .refused : .complete,
                isRefused ? "the reason is in the log of the process that was there then" : "")
        }
    }
}
