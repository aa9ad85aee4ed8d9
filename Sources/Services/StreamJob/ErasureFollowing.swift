import Bytes
import Derivation
import Files
import Lake
import Records
import ServiceLifecycle
import Telemetry

/// Takes what is to be erased out of the files of a topic partition that this process writes, between two commits.
///
/// What asks for an erasure prepares all but the growing hour; where that was killed, the next start of the stream job does the whole.
struct ErasureFollowing {
    private let source: TopicPartition
    private let layout: LakeLayout
    private let log: ErasureLog
    private let logger: Logger
    private var stamp: FileStamp?
    private var isFirst = true
    /// When to look again for what could not be done; nil where nothing waits. Of the monotonic clock.
    private var retryAt: Int64?
    private var told = ""

    private static let retryNanoseconds: Int64 = 1_000_000_000
    /// How long commits wait while files are prepared; what is left follows at the next.
    private static let preparingNanoseconds: Int64 = 2_000_000_000

    init(_ source: TopicPartition, layout: LakeLayout, logger: Logger) {
        self.source = source
        self.layout = layout
        self.logger = logger
        log = ErasureLog(layout: layout)
    }

    /// Cheap when nothing changed. What fails is tried again: nobody stops taking in what comes for it.
    ///
    /// - Returns: whether records of this topic partition are gone.
    mutating func follow(_ writer: inout PartitionWriter, _ stop: StopSignal) -> Bool {
        let now = log.stamp()
        let isDue = retryAt.map { SystemClock.monotonicNanoseconds() >= $0 } ?? false
        guard now != stamp || isDue else { return false }
        stamp = now
        retryAt = nil
        // Erasures that were begun: all but the last are done where that one fails.
        var count = 0
        let hasErased: Bool
        do throws(LakeError) {
            let generations = try GenerationLog(layout: layout).read()
            let source = source
            let ids = try writer.erase(
                isStopped: { stop.isRequested },
                until: SystemClock.monotonicNanoseconds() + Self.preparingNanoseconds
            ) { erasure throws(LakeError) in
                count += 1
                return try ErasureMatch(erasure, topic: source.topic, generations: generations)
            }
            hasErased = !ids.isEmpty
            for id in ids { logger.info("erased from the lake", ["id": id, "topic_partition": "\(source)"]) }
            told = ""
        } catch {
            again(error)
            return count > 1
        }
        // Later ones are left to who asked for them: the object storage may take its time, and is asked once.
        if isFirst { finishFormerOnce() }
        return hasErased
    }

    private mutating func finishFormerOnce() {
        do throws(LakeError) {
            try finishFormer()
            isFirst = false
        } catch {
            guard case .storage = error else { return again(error) }
            isFirst = false
            logger.error(
                "the object storage still has what was erased; `medallion erase resume` or the next start finishes it",
                ["topic_partition": "\(source)", "error": error.description])
        }
    }

    private mutating func again(_ error: LakeError) {
        retryAt = SystemClock.monotonicNanoseconds() + Self.retryNanoseconds
        // That is what a running `medallion erase` holds.
        if case .locked = error { return }
        guard told != error.description else { return }
        told = error.description
        logger.warning(
            "an erasure waits, and is tried again", ["topic_partition": "\(source)", "why": error.description])
    }

    private func finishFormer() throws(LakeError) {
        for state in try log.unfinished(source) {
            try Eraser(layout: layout, source: source).finish(
                state.erasure.id, now: SystemClock.epochMilliseconds())
        }
    }
}
