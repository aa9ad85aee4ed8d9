package import Records

/// Finds out by single looks which offsets of a log cannot be read.
///
/// Looks are bounded. What they have proven counts even where they ran out before the end of a long run: the reader passes
/// that much and asks again from there.
package struct UnreadableSearch {
    private let log: OffsetRange
    private let looksMax: Int
    private let isOutOfTime: () -> Bool
    private let look: (Int64) throws -> LogProbe.Sight
    private var looks = 0

    /// - Parameters:
    ///   - log: the offsets that the log holds.
    ///   - looksMax: how many looks may be made.
    ///   - isOutOfTime: asked before each look.
    ///   - look: tells what comes from an offset on.
    package init(
        log: OffsetRange, looksMax: Int, isOutOfTime: @escaping () -> Bool = { false },
        look: @escaping (Int64) throws -> LogProbe.Sight
    ) {
        self.log = log
        self.looksMax = looksMax
        self.isOutOfTime = isOutOfTime
        self.look = look
    }

    /// Looks at what lies from `start` on.
    ///
    /// - Returns: nil where no look could be made.
    package mutating func run(from start: Int64) throws -> LogProbe.Finding? {
        var next = max(start, log.start)
        guard next < log.end else { return .end(next: next, logEnd: log.end) }
        var reasons: [String] = []
        while next < log.end, let sight = try bounded(next) {
            guard case .unreadable(let base, let reason) = sight else {
                // What was proven before counts, whatever lies behind.
                if !reasons.isEmpty { break }
                return switch sight {
                case .readable, .unreadable: .readable
                case .end(let offset): .end(next: offset, logEnd: log.end)
                case .silent: .silent
                }
            }
            if reasons.count < 3, !reasons.contains(reason) { reasons.append(reason) }
            guard let base else {
                // Nothing tells where such a batch begins or ends: only what was looked at counts.
                next += 1
                continue
            }
            let behind = try self.end(ofBatchAt: next, base: base)
            next = behind.offset
            if !behind.isKnown { break }
        }
        guard !reasons.isEmpty else { return nil }
        let range = OffsetRange(start: start, end: next) ?? .empty(at: start)
        return .unreadable(range, reason: reasons.joined(separator: "; "))
    }

    private mutating func bounded(_ offset: Int64) throws -> LogProbe.Sight? {
        guard looks < looksMax, !isOutOfTime() else { return nil }
        looks += 1
        return try look(offset)
    }

    /// The first offset behind the batch that begins at `base`, seen from `start`, which lies in it or in a hole before it.
    ///
    /// - Returns: an offset that lies no further, and whether it is that one.
    private mutating func end(ofBatchAt start: Int64, base: Int64) throws -> (offset: Int64, isKnown: Bool) {
        var (inside, outside) = (start, log.end)
        var step: Int64 = 1
        var isBracketed = false
        while outside - inside > 1 {
            let place = isBracketed ? inside + (outside - inside) / 2 : inside + step
            guard place < outside else {
                isBracketed = true
                continue
            }
            guard let sight = try bounded(place) else { return (inside + 1, false) }
            switch sight {
            case .silent: return (inside + 1, false)
            case .unreadable(let other?, _) where other <= max(start, base):
                inside = place
                step *= 2
            case .unreadable(let other?, _):
                outside = min(other, place)
                isBracketed = true
            case .readable, .end, .unreadable(nil, _):
                outside = place
                isBracketed = true
            }
        }
        return (outside, true)
    }
}
