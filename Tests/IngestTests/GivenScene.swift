import Bytes
import Files
import Ingest
import JSONScan
import PlatformTesting
import Sources
import Testing

/// Files that are given, and a topic that keeps what arrives of them.
final class GivenScene {
    let folder: TemporaryFolder
    var shape = DocumentShape(idPath: "id")
    var eventsMax = 1_000
    var stateBytesMax = 1 << 29
    var isForgetful = false
    /// In the order of arrival, run after run.
    private(set) var topic: [SourceEvent] = []

    init() throws {
        folder = try TemporaryFolder(in: "/dev/shm")
        try Folder.create(folder.file("in"))
    }

    func path(_ name: String) -> String { folder.file("in/" + name) }

    func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

    func write(_ bytes: [UInt8], to name: String) throws {
        try Folder.create(Folder.parent(of: path(name)))
        try File.replace(path(name), with: bytes)
    }

    /// Reads paths below the folder, all of it unless given, until everything is read or `isKilled` says so.
    ///
    /// - Parameters:
    ///   - arriving: how many of those in flight arrive after a batch; nil for all.
    @discardableResult
    func run(
        _ names: [String] = [""], format: FileFormat? = nil, startsOver: Bool = false,
        arriving: (() -> Int)? = nil, isKilled: () -> Bool = { false }
    ) throws -> FileTally.Figures {
        let tally = FileTally()
        let files = GivenSearch.files(names.map(path), format: format, tally: tally)
        var options = FilesConnector.Options(folder: "", statePath: folder.file("state/files.jsonl"))
        options.given = GivenFiles(files, startsOver: startsOver, tally: tally)
        options.shape = shape
        options.eventsMax = eventsMax
        options.stateBytesMax = stateBytesMax
        options.isForgetful = isForgetful
        options.filesPerBatchMax = 16
        let connector = try FilesConnector(options, scan: DocumentScan(idPath: shape.idPath))
        var position: SourcePosition?
        var inFlight: [SourceEvent] = []
        for _ in 0..<1_000_000 {
            if isKilled() {
                // The broker may have some whose acknowledgement was lost.
                topic += inFlight.prefix(arriving?() ?? 0)
                return tally.figures
            }
            if connector.isDone && inFlight.isEmpty { break }
            let batch = try connector.next(after: position)
            connector.count(batch)
            position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
            inFlight += batch.events
            let arrived = inFlight.prefix(arriving?() ?? .max)
            guard let last = arrived.last else { continue }
            topic += arrived
            inFlight.removeFirst(arrived.count)
            try connector.acknowledged(last.position)
        }
        try #require(connector.isDone && connector.isSettled, "the reading comes to no end")
        try connector.keepPlace()
        return tally.figures
    }

    /// What the duplicate window lets through.
    var distinct: [SourceEvent] {
        var seen: Set<[UInt8]> = []
        return topic.filter { seen.insert($0.eventID).inserted }
    }

    /// The documents of the topic, by their ids.
    func documents() throws -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for event in distinct {
            let value = try JSONValue.parse(event.value)
            result[value["id"]?.string ?? value["id"]?.text ?? ""] = value
        }
        return result
    }
}
