package import Concurrency
package import Records
package import Store

/// What a replay is asked for over HTTP.
package struct ReplayStart: Sendable, Equatable {
    /// The declared source; nil where only one can be meant, or all are.
    package var source: String?
    /// Everything where it holds nothing.
    package var bounds = ReplayBounds()
    /// The new logic as JSON, written as in a declaration; nil for the declared one.
    package var logic: [UInt8]?
    /// Whose vectors are made, and how many numbers they have; both nil: as the active generation's.
    package var model: String?
    package var dimensions: Int?
    package var isDryRun = false
    package var wish = ReplayWish()
    /// Of the key that asks; empty without one.
    package var keyID = ""

    package init() {}

    /// Whether nothing is run through a logic: it names a model or dimensions, and neither range nor logic.
    package var isOfVectorsAlone: Bool {
        (model != nil || dimensions != nil) && logic == nil && bounds == ReplayBounds() && source == nil
    }
}

/// Which quarantined records a request means.
package struct QuarantineSelection: Sendable, Equatable {
    package var topic: String?
    package var partition: Int32?
    package var offsets: OffsetRange?
    /// A rule's name.
    package var rule: String?
    /// Broker times in milliseconds since 1970.
    package var sinceMilliseconds: Int64?
    package var untilMilliseconds: Int64?
    /// A state's name.
    package var state: String?
    package var generation: Int64?
    /// Records at most.
    package var limit = 50
    /// Of a list: where the one before ended, as ``QuarantineListing/nextCursor`` had it.
    package var cursor: String?

    package init() {}

    /// Whether nothing but perhaps topic and topic partition restricts it.
    var isOpen: Bool {
        offsets == nil && rule == nil && sinceMilliseconds == nil && untilMilliseconds == nil
    }
}

/// A part of the list of quarantined records.
package struct QuarantineListing: Sendable {
    /// Each as a JSON object, the newest first.
    package var records: [[UInt8]]
    /// Where the rest begins; nil where there is none, or where the place takes more words than a URL may have.
    package var nextCursor: String?
    package var hasMore: Bool

    package init(records: [[UInt8]], nextCursor: String?, hasMore: Bool) {
        self.records = records
        self.nextCursor = nextCursor
        self.hasMore = hasMore
    }

    /// What is shown of a record's value, in bytes.
    package static let valueBytesMax = 64 << 10
    /// Of a cursor, in characters; a URL has 8,192.
    package static let cursorMax = 6_000
}

/// What is to become of quarantined records.
package struct QuarantineChange: Sendable, Equatable {
    /// One of the ways out.
    package enum Way: Sendable, Equatable {
        /// Published again; the value in place of the quarantined one, for a single record.
        case redrive(correction: [UInt8]?)
        /// Given up for a reason.
        case discard(reason: String)
    }

    /// Which of the ways out.
    package var way: Way
    /// Also what was redriven or discarded before.
    package var forces = false
    package var isDryRun = false

    package init(_ way: Way) { self.way = way }
}

/// What operators do to lake, index and topics, where a process has them. The executable implements it: services know nothing
/// of each other. What they show is JSON that commands print, too.
///
/// Throws ``APIError`` for what a client did wrong or cannot have now.
package protocol PlatformControl: Sendable {
    /// Each generation as a JSON object.
    func generations() async throws -> [[UInt8]]
    /// Serves another generation; waits so long where its index is behind.
    func promote(_ generation: Int64, waitMilliseconds: Int) async throws
    /// Gives one up.
    func prune(_ generation: Int64) async throws

    /// The logic of each declared source as a JSON object: as declared, and as the served generation has it.
    func logics() async throws -> [[UInt8]]
    /// Each replay as a JSON object, the newest first.
    func replays() async throws -> [[UInt8]]
    /// One of them, and whether it is over; nil where there is none such.
    func replay(_ id: String) async throws -> (json: [UInt8], isOver: Bool)?
    /// Begins one; one runs at a time.
    func start(_ start: ReplayStart) async throws -> [UInt8]
    /// Lets one pause or go on, also one that was cut short, or at another rate.
    func change(_ id: String, isPaused: Bool?, rate: Int?) async throws -> [UInt8]
    /// Ends one for good.
    func end(_ id: String) async throws -> [UInt8]

    /// Quarantined records, the newest first.
    func quarantined(_ selection: QuarantineSelection, deadline: Deadline) async throws -> QuarantineListing
    /// One record with its value as a JSON object, for a selection of one offset; nil where no such record is in quarantine.
    func quarantinedRecord(_ selection: QuarantineSelection, deadline: Deadline) async throws -> [UInt8]?
    /// Takes records out; what became of each as a JSON object.
    func change(
        _ selection: QuarantineSelection, _ change: QuarantineChange, deadline: Deadline
    ) async throws -> [[UInt8]]
}
