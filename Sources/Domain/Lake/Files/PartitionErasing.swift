import Files
package import Records

extension PartitionWriter {
    /// Takes the records of every erasure that waits for this topic partition's writer out of its files.
    ///
    /// The growing hour is sealed first; later commits of it go to files of their own. What was prepared before costs no more than a new
    /// commit log and a rename for each file.
    ///
    /// - Parameter match: what an erasure is about.
    /// - Returns: the ids of those that are rewritten now; ``Eraser/finish(_:now:)`` is left to do.
    /// - Throws: ``LakeError/locked(source:path:holder:)`` while another process moves or removes files, or prepares the erasure;
    ///   ``LakeError/erasure(_:)`` while a replay makes a generation.
    @discardableResult
    package mutating func erase(
        _ match: (Erasure) throws(LakeError) -> ErasureMatch
    ) throws(LakeError) -> [String] {
        let eraser = Eraser(layout: layout, source: source)
        guard try eraser.log.unfinished(source).contains(where: { $0.parts[source]?.isRewritten == false }) else {
            return []
        }
        let lock = try UpkeepLock(source, in: layout)
        defer { withExtendedLifetime(lock) {} }
        var ids: [String] = []
        for state in try eraser.log.unfinished(source) {
            guard let part = state.parts[source], !part.isRewritten else { continue }
            let id = state.erasure.id
            try seal()
            try eraser.prepare(id, try eraser.find(id, part, try match(state.erasure)))
            try eraser.install(id, live: &log)
            ids.append(id)
        }
        return ids
    }
}
