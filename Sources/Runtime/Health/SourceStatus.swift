/// What a process knows of a declared source, for `GET /pipeline/status`.
package struct SourceStatus: Sendable, Equatable {
    /// The source's name.
    package var name: String
    /// The word of its connector, such as `files`.
    package var connector: String
    /// What its connector does in this process; nil where it runs elsewhere or there is none.
    package var phase: String?
    /// Milliseconds since 1970.
    package var lastEventMilliseconds: Int64?
    /// How many of its events the broker has acknowledged, in the connector's own count; nil where it runs elsewhere.
    package var position: Int64?
    /// What last went wrong in its connector, which may be over, and when (milliseconds since 1970).
    package var lastError: String?
    package var lastErrorMilliseconds: Int64?
    /// Bytes that wait in the source itself, such as a database's log; nil where that is not known.
    package var lagBytes: Int64?
    /// By whose request it stands still; nil where it runs, or that is not known.
    package var pause: SourcePause?
    /// How far a snapshot is, or how the last one ended; nil where there is none, or its connector runs elsewhere.
    package var snapshot: SnapshotProgress?
    /// Of the index for this source.
    package var freshness: Freshness

    package init(
        name: String, connector: String, phase: String? = nil, lastEventMilliseconds: Int64? = nil,
        freshness: Freshness
    ) {
        self.name = name
        self.connector = connector
        self.phase = phase
        self.lastEventMilliseconds = lastEventMilliseconds
        self.freshness = freshness
    }
}

/// That a source stands still: who asked for it, why and when.
package struct SourcePause: Sendable, Equatable {
    /// The name of a key, or of an account of the machine; empty where nobody said.
    package var by: String
    package var reason: String
    /// Milliseconds since 1970.
    package var atMilliseconds: Int64

    package init(by: String, reason: String, atMilliseconds: Int64) {
        self.by = by
        self.reason = reason
        self.atMilliseconds = atMilliseconds
    }
}

/// How far the reading of a whole table is, or of a part of it.
package struct SnapshotProgress: Sendable, Equatable {
    /// How it stands.
    package enum State: String, Sendable, CaseIterable {
        /// It is to begin, or to be read on, and waits for what `reason` says.
        case waiting
        case running
        case complete
        /// It cannot be read as asked for.
        case refused
    }

    /// Of the request; nil for the one that the declaration asks for.
    package var id: String?
    /// How it stands.
    package var state: State
    /// Of the primary key; nil where it is open.
    package var from: String?
    /// The other end of that range.
    package var to: String?
    /// Rows that were read.
    package var rows: Int
    /// About how many there are, as the database guesses; nil where it does not.
    package var rowsExpected: Int?
    /// Why it waits or was refused; else empty.
    package var reason = ""
    /// Requests behind it.
    package var requestsWaiting = 0

    package init(id: String?, state: State, from: String? = nil, to: String? = nil, rows: Int) {
        self.id = id
        self.state = state
        self.from = from
        self.to = to
        self.rows = rows
    }
}
