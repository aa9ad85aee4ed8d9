package import Records

extension PostgresConnector {
    /// What bounds the reading. Times in milliseconds.
    package struct Options: Sendable {
        /// The file of the durable state.
        package var statePath: String
        /// Rows of one look at the table.
        package var rowsMax = 500
        /// Events, and bytes of them, of one batch.
        package var eventsMax = 1_000
        package var bytesMax = 1 << 20
        /// Bytes of rows, as they lie in the table, of one look at it; one row is read whatever its size.
        package var rangeBytesMax = 4 << 20
        /// How long a look at the log waits where there is nothing.
        package var waitMilliseconds = 100
        /// How often the server is asked how far it is, which also keeps the session alive.
        package var heartbeatMilliseconds: Int64 = 10_000
        package var connectMilliseconds = 10_000
        /// How often the catalogue is looked at while the log is read: a table that was taken out of its publication is silent there.
        package var lookMilliseconds: Int64 = 60_000
        /// Where the logic finds a document's id, which has to be the primary key; nil for not to look at that.
        package var idPath: String?
        /// The snapshots that operators ask for, the oldest first; asked between two looks at the log.
        package var requests: @Sendable () -> [SourceRequest] = { [] }
        /// Whether an operator gave a snapshot up, by its id.
        package var isGivenUp: @Sendable (String) -> Bool = { _ in false }
        /// After so long the transaction by which a table is read is followed by one of a later moment; and after so long
        /// without a statement, as while the broker takes nothing, the server ends it.
        package var snapshotMilliseconds: Int64 = 300_000
        package var snapshotIdleMilliseconds = 60_000
        /// Told what became of a snapshot that was asked for: its id, and why where it was refused. Does not block.
        package var report: @Sendable (_ id: String, _ state: SourceOutcome.State, _ reason: String) -> Void = {
            _, _, _ in
        }
        /// How long a snapshot that could not begin, or be read on, waits at first. It is twice as long each time, up to the limit.
        package var requestPauseMilliseconds: Int64 = 5_000
        package var requestPauseMillisecondsMax: Int64 = 300_000
        /// How long making the slot of such a snapshot may keep the log from being read at first. It is twice as long after each wait, up
        /// to the limit: a sender of the log waits for a word for a minute, as servers are set up.
        package var requestSlotMilliseconds = 10_000
        package var slotMillisecondsMax = 60_000
        /// After so many pages in a row that fail, it is refused.
        package var requestFailuresMax = 12

        package init(statePath: String) { self.statePath = statePath }
    }
}
