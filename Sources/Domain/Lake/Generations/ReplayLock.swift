import Files

/// Says which process makes a generation by a replay: a file lock, which a kill lets go of.
package final class ReplayLock: Sendable {
    private let file: File

    /// - Throws: ``LakeError/generation(_:)`` where another process holds it; ``LakeError`` where the lake cannot be written.
    package init(layout: LakeLayout, generation: Int64) throws(LakeError) {
        let path = layout.replayLock(generation)
        file = try LakeError.placed(path) {
            var file = try File(path, .readWrite)
            guard try file.tryLock() else {
                throw LakeError.generation("the replay of generation \(generation) runs in another process")
            }
            return file
        }
    }

    /// Removes the file of a generation that is not being made any more: who opens it later finds that out by the list.
    package static func remove(layout: LakeLayout, generation: Int64) throws(LakeError) {
        let path = layout.replayLock(generation)
        try LakeError.placed(path) { try Folder.removeIfPresent(path) }
    }
}
