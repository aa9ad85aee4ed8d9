import Postgres
import Sources

/// Whether a server's log still holds all that was read of it, and continues from there.
///
/// A server that was restored from an earlier copy, or a standby that took over before it had everything, has the same identifier
/// and a log that lacks what was read. Its new changes have lower places than those that were read, so their versions are lower,
/// too, and would be taken for old ones without a word.
enum CaptureContinuity {
    /// - Parameter position: up to where the log was read.
    /// - Throws: ``CaptureError`` where changes are lost; `PostgresError`.
    static func check(
        _ place: ServerPlace, _ log: ReplicationConnection, _ state: CaptureState, readTo position: UInt64,
        _ declaration: PostgresDeclaration
    ) throws {
        guard state.system == place.identifier else {
            throw CaptureSlot.lost(
                declaration,
                "this is another database server than the one that was read before, as after pg_upgrade or a restored dump"
            )
        }
        let read = PostgresText.position(position)
        guard place.timeline != state.timeline else {
            guard place.end >= position else {
                throw CaptureSlot.lost(
                    declaration,
                    "the server's log ends at \(PostgresText.position(place.end)), and was read up to \(read): it was restored "
                        + "from an earlier copy")
            }
            return
        }
        let what = "the server is on timeline \(place.timeline), and timeline \(state.timeline) was read up to \(read)"
        guard place.timeline > state.timeline else { throw CaptureSlot.lost(declaration, what) }
        let history = try log.run(
            "TIMELINE_HISTORY \(place.timeline)", operation: "read the timeline's history", timeoutMilliseconds: 15_000)
        let text = history.first.flatMap { $0.count == 2 ? $0[1] : nil } ?? ""
        guard let end = Self.end(of: state.timeline, in: text) else {
            throw CaptureSlot.lost(declaration, what + ", which is not in its history")
        }
        guard end >= position else {
            throw CaptureSlot.lost(declaration, what + ", but it took over at \(PostgresText.position(end))")
        }
    }

    /// Where a timeline ended, as the history file of a later one says: lines of a timeline, a place and a reason.
    static func end(of timeline: Int64, in history: String) -> UInt64? {
        for line in history.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, Int64(words[0]) == timeline else { continue }
            return PostgresText.position(String(words[1]))
        }
        return nil
    }
}

/// Which table is read by which publication: another of the same name has other numbers.
struct CaptureIdentity: Equatable, Sendable {
    var table: UInt32
    var publication: UInt32
    /// Of the table's place in the publication; 0 where it publishes tables that it does not name.
    var membership: UInt32

    /// What was replaced since `before`; nil for nothing.
    func replaced(since before: CaptureIdentity, _ declaration: PostgresDeclaration) -> String? {
        if table != before.table { return "\(declaration.sqlName) is another table than the one that was read before" }
        if publication != before.publication {
            return "the publication \(declaration.publication) was dropped and made again"
        }
        guard membership != before.membership else { return nil }
        return "\(declaration.sqlName) was taken out of the publication \(declaration.publication), or its columns or "
            + "rows there were changed"
    }
}
