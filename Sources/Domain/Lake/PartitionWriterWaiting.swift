import Bytes
package import Events

extension PartitionWriter {
    /// Opens it, waiting a little for somebody who holds it for a moment only: a replay that records a handover where no
    /// stream job runs, or `medallion lake seal`.
    ///
    /// - Parameter waitingMilliseconds: how long; 0 tries once.
    /// - Throws: ``LakeError/locked(source:path:holder:)`` where it is held for longer.
    package static func open(
        layout: LakeLayout, source: TopicPartition, waitingMilliseconds: Int64
    ) throws(LakeError) -> PartitionWriter {
        let deadline = SystemClock.monotonicNanoseconds() + waitingMilliseconds * 1_000_000
        while true {
            do throws(LakeError) {
                return try open(layout: layout, source: source)
            } catch {
                guard case .locked = error, SystemClock.monotonicNanoseconds() < deadline else { throw error }
            }
            Pause.milliseconds(20)
        }
    }
}
