import Bytes
import JSONScan
package import Records

/// What was suppressed and lifted, in the order of the topic: the record from which every rebuild of the index applies it
/// (`schemas/suppression.schema.json`). Only appended to.
package struct SuppressionLog: Sendable {
    /// One entry, with its place in the topic.
    package struct Entry: Sendable, Equatable {
        /// The offset behind it.
        package let nextOffset: Int64
        package let entry: SuppressionEntry

        package init(nextOffset: Int64, entry: SuppressionEntry) {
            self.nextOffset = nextOffset
            self.entry = entry
        }
    }

    /// Where it lies.
    package let path: String
    private let above: String
    /// Some 200,000 entries; read as a whole.
    private static let bytesMax = 64 << 20

    package init(layout: LakeLayout) {
        path = layout.suppressionLog
        above = layout.above
    }

    private var log: RecordLog { RecordLog(path: path, bytesMax: Self.bytesMax) }

    /// Every entry, in order; none where nothing was ever suppressed.
    package func read() throws(LakeError) -> [Entry] { try Self.entries(log.read(), path: path) }

    /// Opens the log for its one writer, who has it until the value goes.
    ///
    /// - Throws: ``LakeError/quarantine(_:)`` where another process writes it.
    package func open() throws(LakeError) -> Writer {
        let lock = try HeldLock(
            path + ".lock", secondsMax: 0,
            refusal: .quarantine("\(path).lock is held: another process writes the log of suppressions"))
        return try Writer(lock, try RecordAppender.open(log, upTo: above), path: path)
    }

    /// The log while it is held. One thread's.
    package final class Writer {
        private let lock: HeldLock
        private var appender: RecordAppender
        private var known: Set<String> = []
        /// The offset behind the last entry; nil where there is none.
        package private(set) var nextOffset: Int64?

        fileprivate init(
            _ lock: consuming HeldLock, _ appender: consuming RecordAppender, path: String
        ) throws(LakeError) {
            let entries = try SuppressionLog.entries(appender.records, path: path)
            self.lock = lock
            self.appender = appender
            for entry in entries { known.insert(Self.key(entry.entry)) }
            nextOffset = entries.last?.nextOffset
        }

        /// Appends entries and makes them durable; those that are there already are left out.
        package func append(_ entries: [Entry]) throws(LakeError) {
            var fresh: [Entry] = []
            var keys: Set<String> = []
            for entry in entries {
                let key = Self.key(entry.entry)
                if !known.contains(key), keys.insert(key).inserted { fresh.append(entry) }
            }
            try appender.append(fresh.map(SuppressionLog.json))
            known.formUnion(keys)
            if let last = entries.last { nextOffset = last.nextOffset }
        }

        /// A suppression and its lift have one id; another tenant's lift of it is none.
        private static func key(_ entry: SuppressionEntry) -> String {
            if case .lift = entry { "lift \(entry.tenant.text) \(entry.id)" } else { "suppress \(entry.id)" }
        }
    }

    private static func json(_ entry: Entry) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("next_offset")
        json.integer(entry.nextOffset)
        entry.entry.append(to: &json)
        json.endObject()
        return json.bytes
    }

    private static func entries(_ records: [JSONValue], path: String) throws(LakeError) -> [Entry] {
        var entries: [Entry] = []
        entries.reserveCapacity(records.count)
        for record in records {
            let bytes = Array(record.text.utf8)
            do throws(RecordFormatError) {
                guard let next = record["next_offset"]?.integer else {
                    throw RecordFormatError("suppression", field: "next_offset", reason: "is not an integer")
                }
                let entry = bytes.withUnsafeBytes { bytes in
                    Result { () throws(RecordFormatError) in try SuppressionEntry(bytes) }
                }
                entries.append(Entry(nextOffset: next, entry: try entry.get()))
            } catch {
                throw .damaged(path: path, reason: "\(error)")
            }
        }
        return entries
    }
}

extension LakeVerifier {
    /// Reports a log of suppressions that cannot be read, and counts its entries.
    func verifySuppressions() {
        let log = SuppressionLog(layout: reader.layout)
        do throws(LakeError) {
            totals.logEntries += try log.read().count
        } catch {
            find(log.path, "\(error)")
        }
    }
}
