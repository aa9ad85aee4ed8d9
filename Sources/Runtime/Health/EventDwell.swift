/// How long one event was between the steps of its way, in milliseconds. The steps add up to the whole way.
package struct EventDwell: Sendable, Equatable {
    /// From the event until the platform had it; nil where neither is known, and of recorded events (``recordedMilliseconds``).
    package let received: Int64?
    /// From there until the broker had appended it to its topic; nil where nobody noted when the platform had it, or noted a time
    /// more than ``recordedMilliseconds`` away: a header is anybody's word, and a topic may be the copy of an older one.
    package let broker: Int64?
    /// From there until its document was committed in the lake and published.
    package let committed: Int64
    /// From there until the index transaction began that made it visible.
    package let indexed: Int64
    /// From there until a search was seen to find it.
    package let searchable: Int64

    /// An event that is older when it comes is read from a recording, a file or a table: its age is no time spent on the way.
    package static let recordedMilliseconds: Int64 = 3_600_000

    /// Of times since 1970. They are of several machines' clocks, so a step that seems to come before the one in front of it took
    /// no time.
    package init(
        event: Int64?, received: Int64?, broker: Int64, committed: Int64, indexed: Int64, searchable: Int64
    ) {
        // Differences of any two numbers may be too large to be one.
        let received = received.flatMap { received in
            let (difference, isTooLarge) = broker.subtractingReportingOverflow(received)
            return isTooLarge || difference.magnitude > Self.recordedMilliseconds.magnitude ? nil : received
        }
        let had = received ?? broker
        self.received = event.flatMap { event in
            had - event > Self.recordedMilliseconds ? nil : max(0, had - event)
        }
        self.broker = received.map { max(0, broker - $0) }
        let inLake = max(broker, committed)
        let found = max(inLake, searchable)
        let written = min(max(inLake, indexed), found)
        self.committed = inLake - broker
        self.indexed = written - inLake
        self.searchable = found - written
    }

    /// From the broker's log to searches, which the objective of freshness is about.
    package var fromBroker: Int64 { committed + indexed + searchable }

    /// From the first step that is known.
    package var whole: Int64 { (received ?? 0) + (broker ?? 0) + fromBroker }
}

/// Percentiles of some times, in milliseconds.
package struct DwellTimes: Sendable, Equatable {
    /// Half of them were shorter.
    package let p50: Double
    /// 19 of 20 were shorter.
    package let p95: Double
    /// 99 of 100 were shorter.
    package let p99: Double

    /// Nil where there are none.
    package init?(_ milliseconds: [Int64]) { self.init(weighted: milliseconds.map { ($0, 1) }) }

    /// Of times that each stand for a number of events; nil where there are none.
    package init?(weighted times: [(milliseconds: Int64, weight: Double)]) {
        let sorted = times.sorted { $0.milliseconds < $1.milliseconds }
        guard let longest = sorted.last?.milliseconds else { return nil }
        let all = sorted.reduce(0) { $0 + $1.weight }
        var found: [Double] = []
        var (sum, index) = (0.0, 0)
        for share in [0.5, 0.95, 0.99] {
            while index < sorted.count, sum + sorted[index].weight <= all * share {
                sum += sorted[index].weight
                index += 1
            }
            found.append(Double(index < sorted.count ? sorted[index].milliseconds : longest))
        }
        (p50, p95, p99) = (found[0], found[1], found[2])
    }
}
