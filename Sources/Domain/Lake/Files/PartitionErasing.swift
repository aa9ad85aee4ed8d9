import Bytes
import Files
package import Records

extension PartitionWriter {
    /// Takes the records of every erasure that waits for this topic partition's writer out of its files.
    ///
    /// The growing hour is sealed first; later commits of it go to files of their own. What was prepared before costs no more than a new
    /// commit log and a rename for each file.
    ///
    /// Where nothing was prepared, sealed files are, as far as that goes until `until`; the next call resumes there.
    ///
    /// - Parameters:
    ///   - isStopped: asked between files.
    ///   - until: of the monotonic clock, in nanoseconds.
    ///   - match: what an erasure is about.
    /// - Returns: the ids of those that are rewritten now; ``Eraser/finish(_:now:)`` is left to do.
    /// - Throws: ``LakeError/locked(source:path:holder:)`` while another process moves or removes files, or prepares the erasure;
    ///   ``LakeError/erasure(_:)`` while a replay makes a generation, and where files are left to prepare;
    ///   ``LakeError/generation(_:)`` where the list of generations has just changed.
    @discardableResult
    package mutating func erase(
        isStopped: () -> Bool = { false }, until: Int64 = .max,
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
            let about = try match(state.erasure)
            let stamp = GenerationLog(layout: layout).stamp()
            // The growing hour is sealed once, when all others are prepared.
            let known =
                part.lookedTo == nil ? try eraser.find(id, part, about, isStopped: isStopped) : part
            try eraser.prepare(id, known) { isStopped() || SystemClock.monotonicNanoseconds() > until }
            try seal()
            try eraser.prepare(id, try eraser.find(id, known, about, isStopped: isStopped))
            try eraser.install(id, live: &log, since: stamp)
            ids.append(id)
        }
        return ids
    }
}
