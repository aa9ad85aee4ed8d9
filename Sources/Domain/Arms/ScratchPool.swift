import Synchronization

/// Lends scratch to searches, a few at a time: as many as ever searched at once, and no more than some.
final class ScratchPool: Sendable {
    private static let keptMax = 8
    private let kept = Mutex<[WordScratch]>([])

    func lending<R>(_ body: (inout WordScratch) -> R) -> R {
        var scratch = kept.withLock { $0.popLast() } ?? WordScratch()
        defer {
            let back = scratch
            kept.withLock { if $0.count < Self.keptMax { $0.append(back) } }
        }
        return body(&scratch)
    }
}
