/// What one look at broker and database found of the source topic.
package struct IndexLook: Sendable, Equatable {
    /// One topic partition.
    package struct Place: Sendable, Equatable {
        /// The next source offset that the active generation's index wants; nil where it has no checkpoint.
        package var next: Int64?
        /// The first offset that the log still has.
        package var low: Int64
        /// The log's end.
        package var high: Int64
        /// Up to here there is nothing to read: what lies there are the marks of transactions.
        package var emptyUpTo: Int64

        /// Memberwise.
        package init(next: Int64?, low: Int64, high: Int64, emptyUpTo: Int64 = 0) {
            self.next = next
            self.low = low
            self.high = high
            self.emptyUpTo = emptyUpTo
        }

        /// Where what waits begins. What has expired waits no more, and without a checkpoint the whole log waits.
        package var start: Int64 { max(next ?? low, low, min(emptyUpTo, high)) }

        /// Events that wait.
        package var behind: Int64 { max(0, high - start) }
    }

    /// The active generation.
    package var generation: Int64
    /// The newest index version.
    package var indexVersion: Int64
    /// When the indexer last brought that generation forward, in milliseconds since 1970.
    package var indexedAtMilliseconds: Int64?
    /// By the number of the topic partition.
    package var places: [Int32: Place]
    /// When it was begun, in milliseconds of a monotonic clock: what it found may be as old.
    package var atMilliseconds: Int64
    /// Why these figures say nothing of how fresh the index is; nil where they do.
    package var doubt: String?

    /// Memberwise.
    package init(
        generation: Int64, indexVersion: Int64, indexedAtMilliseconds: Int64?, places: [Int32: Place],
        atMilliseconds: Int64, doubt: String? = nil
    ) {
        self.atMilliseconds = atMilliseconds
        self.doubt = doubt
        self.generation = generation
        self.indexVersion = indexVersion
        self.indexedAtMilliseconds = indexedAtMilliseconds
        self.places = places
    }

    /// Events that wait, all topic partitions together.
    package var eventsBehind: Int64 { places.values.reduce(0) { $0 + $1.behind } }

    /// Why the answers do not fit together; nil where they do. Checkpoints are read before the ends of logs, so an index
    /// can never be ahead of the topic that it was made from.
    package var contradiction: String? {
        if let doubt { return doubt }
        for (number, place) in places.sorted(by: { $0.key < $1.key }) {
            if let next = place.next, next > place.high {
                return "the index has reached offset \(next) of topic partition \(number), whose log ends at "
                    + "\(place.high): the topic was made anew"
            }
        }
        return nil
    }
}

/// How long the events of one topic partition have waited, told by when its log was first seen to be so long.
struct WaitHistory {
    /// Ends of the log beyond what is indexed, ascending, with the time since when each may be there.
    private var ends: [(high: Int64, at: Int64)] = []
    private static let endsMax = 64

    /// Takes in a look.
    ///
    /// - Parameters:
    ///   - since: when what is new in the log may have come; milliseconds of a monotonic clock, as `now` is.
    /// - Returns: how long the oldest event that waits has waited, in milliseconds; 0 where none waits.
    mutating func note(start: Int64, high: Int64, since: Int64, at now: Int64) -> Int64 {
        // A log that became shorter is another one.
        if let last = ends.last, last.high > high { ends = [] }
        ends.removeAll { $0.high <= start }
        if high > ends.last?.high ?? start { ends.append((high, since)) }
        if ends.count > Self.endsMax {
            ends = ends.enumerated().filter { $0.offset.isMultiple(of: 2) || $0.offset == ends.count - 1 }
                .map(\.element)
        }
        return ends.first.map { max(0, now - $0.at) } ?? 0
    }
}
