import Bytes
import Files
import Ingest
import PlatformTesting
import Testing

/// A folder, a connector that follows it, and a topic that keeps what arrives.
final class FilesScene {
    let folder: TemporaryFolder
    var options: FilesConnector.Options
    private var present: FilesConnector?
    var connector: FilesConnector {
        get throws { try #require(present) }
    }
    /// Milliseconds that the connector's clock is ahead.
    var ahead: Int64 = 0
    private var position: SourcePosition?
    /// Handed over and not arrived.
    private(set) var inFlight: [SourceEvent] = []
    /// In the order of arrival.
    private(set) var topic: [SourceEvent] = []
    private(set) var refusals: [SourceRefusal] = []

    init(_ change: (inout FilesConnector.Options) -> Void = { _ in }) throws {
        folder = try TemporaryFolder(in: "/dev/shm")
        try Folder.create(folder.file("in"))
        options = FilesConnector.Options(folder: folder.file("in"), statePath: folder.file("state/files.jsonl"))
        change(&options)
        try restart()
    }

    func path(_ name: String) -> String { folder.file("in/" + name) }

    func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

    /// In place: the file keeps its number.
    func write(_ bytes: [UInt8], to name: String) throws {
        try Folder.create(Folder.parent(of: path(name)))
        let file = try File(path(name), .readWrite)
        try file.truncate(to: 0)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    func append(_ text: String, to name: String) throws {
        try File(path(name), .append).append(Array(text.utf8))
    }

    /// One call of the connector.
    @discardableResult
    func step() throws -> SourceBatch {
        let batch = try connector.next(after: position)
        position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
        inFlight += batch.events
        refusals += batch.refusals
        return batch
    }

    /// Has some of what is in flight arrive, and says so.
    func deliver(_ count: Int) throws {
        let arrived = inFlight.prefix(count)
        guard let last = arrived.last else { return }
        topic += arrived
        inFlight.removeFirst(arrived.count)
        try connector.acknowledged(last.position)
    }

    /// Reads until there is nothing more, with everything arriving.
    func drain() throws {
        var quiet = 0
        for _ in 0..<100_000 where quiet < 3 {
            let batch = try step()
            try deliver(.max)
            quiet = batch.pauseMilliseconds > 0 && batch.events.isEmpty ? quiet + 1 : quiet
            if !batch.events.isEmpty { quiet = 0 }
        }
        try #require(quiet == 3, "the connector does not come to rest")
    }

    /// The process ends without a word. Of what is in flight, the broker may have what `hasArrived` says.
    func kill(hasArrived: (SourceEvent) -> Bool = { _ in false }) throws {
        topic += inFlight.filter(hasArrived)
        try restart()
    }

    private func restart() throws {
        inFlight = []
        position = nil
        // The one before holds the lock.
        present = nil
        present = try FilesConnector(
            options, scan: DocumentScan(idPath: "id"),
            clock: { [unowned self] in SystemClock.epochMilliseconds() + self.ahead })
    }

    /// What the duplicate window lets through.
    var distinct: [SourceEvent] {
        var seen: Set<[UInt8]> = []
        return topic.filter { seen.insert($0.eventID).inserted }
    }

    var values: [String] { distinct.map { String(decoding: $0.value, as: UTF8.self) } }
}
