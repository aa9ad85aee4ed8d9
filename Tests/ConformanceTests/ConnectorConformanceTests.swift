import Bytes
import Files
import Ingest
import IngestTesting
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// Holds every connector to what ``SourceConnector`` says, the one of tests among them.
///
/// A source of numbered events is followed by one process after another. Each ends as if killed after some acknowledgements: the
/// connector is not told of later ones, and what was on its way may have arrived. The last one may finish.
@Suite(.timeLimit(.minutes(2))) struct ConnectorConformanceTests {
    /// All at once: they mostly wait.
    @Test("nothing is lost or out of order after a restart at any acknowledged place")
    func restarts() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for kind in Follower.Kind.allCases { group.addTask { try await Self.restarts(kind) } }
            try await group.waitForAll()
        }
    }

    private static func restarts(_ kind: Follower.Kind) async throws {
        let scene = try ProducerScene()
        let follower = try Follower(kind, scene.configuration)
        for heard in [0, 1, 3, 2] { try await follower.live(in: scene, until: heard) }
        try await follower.live(in: scene, until: nil)
        let records = try scene.content().records
        var seen: [[UInt8]: TopicContent.Record] = [:]
        var reached: [Int32: Int] = [:]
        for record in records {
            let value = try #require(record.value)
            if let first = seen[value] {
                // The stream job knows a copy by its id, finds the first in the same topic partition, and believes the mark
                // however long the interruption was.
                #expect(Self.id(of: record) == Self.id(of: first) && record.key == first.key)
                #expect(record.partition == first.partition)
                #expect(record.headers[RepeatMark.header] != nil, "\(kind): \(String(decoding: value, as: UTF8.self))")
                continue
            }
            seen[value] = record
            let place = try #require(follower.events.firstIndex(of: value), "as the source has it, byte for byte")
            #expect(place > reached[record.partition] ?? -1, "\(kind): out of order")
            reached[record.partition] = place
        }
        #expect(seen.count == follower.events.count)
        #expect(Set(seen.values.map(Self.id)).count == seen.count, "an id of its own for each event")
        #expect(records.count > seen.count, "no life was cut short: nothing was tried")
    }

    /// What the connector was told is not read again, where it is the connector that keeps its place.
    @Test(arguments: Follower.Kind.allCases.filter(\.keepsItsPlace))
    func whatIsAcknowledgedIsNotReadAgain(kind: Follower.Kind) async throws {
        let scene = try ProducerScene()
        let follower = try Follower(kind, scene.configuration)
        try await follower.live(in: scene, until: nil)
        try await follower.live(in: scene, until: nil, more: 3)
        #expect(try scene.content().records.count == follower.events.count)
    }

    private static func id(of record: TopicContent.Record) -> String? {
        record.headers[EventIDHeader.header] ?? record.headers["sse_id"]
    }
}

/// A source of numbered events and what makes a connector for it.
final class Follower {
    enum Kind: CaseIterable, Sendable {
        case files
        case postgres
        case serverSentEvents
        /// Of tests; its place is in the topic's records, and it is read in batches.
        case numbers

        var keepsItsPlace: Bool { self == .files || self == .postgres }
    }

    private(set) var events: [[UInt8]]
    private let folder: TemporaryFolder
    private let configuration: ProducerConfiguration
    private let kind: Kind
    private var table: CapturedTable?

    init(_ kind: Kind, _ configuration: ProducerConfiguration) throws {
        self.kind = kind
        self.configuration = configuration
        folder = try TemporaryFolder()
        switch kind {
        case .files:
            events = []
            try Folder.create(folder.file("in"))
            try write(0..<120)
        case .postgres:
            events = []
            table = try CapturedTable(folder)
            try write(0..<120)
        case .serverSentEvents: events = (1...400).map(ScriptedSource.payload)
        case .numbers: events = (1...120).map { Array("\($0)".utf8) }
        }
    }

    /// Files in the order of their names, of seven lines each; or changes of a table.
    private func write(_ numbers: Range<Int>) throws {
        if let table { return events += try table.write(numbers) }
        let lines = numbers.map { #"{"id":"d\#($0 % 11)","n":\#($0)}"# }
        events += lines.map { Array($0.utf8) }
        for start in stride(from: 0, to: lines.count, by: 7) {
            let text = lines[start..<min(start + 7, lines.count)].map { $0 + "\n" }.joined()
            try File.replace(folder.file("in/\(10_000 + numbers.lowerBound + start).jsonl"), with: Array(text.utf8))
        }
    }

    private func maker() throws -> @Sendable () throws -> any SourceConnector {
        let count = events.count
        switch kind {
        case .postgres: return try #require(table).maker()
        case .files:
            var options = FilesConnector.Options(
                folder: folder.file("in"), statePath: folder.file("state/files.jsonl"))
            options.eventsMax = 5
            options.pollMilliseconds = 10
            return { [options] in try FilesConnector(options, scan: DocumentScan(idPath: "id")) }
        case .serverSentEvents:
            return { [configuration] in
                ServerSentEventsConnector(
                    configuration, metrics: MetricsRegistry(),
                    source: ScriptedSource(eventCount: count, script: [.play], seed: 1))
            }
        case .numbers: return { Numbers(upTo: count) }
        }
    }

    /// One process.
    ///
    /// - Parameters:
    ///   - heard: acknowledgements after which it is killed; nil to go on until all events have arrived.
    ///   - more: events that the source has got since.
    func live(in scene: ProducerScene, until heard: Int?, more: Int = 0) async throws {
        if more > 0 { try write(events.count..<events.count + more) }
        let stop = StopSignal()
        let make = try maker()
        let service = ConnectorService(
            source: "numbers", configuration: scene.configuration, metrics: MetricsRegistry(),
            logger: Logger("test", level: .error)
        ) { Mortal(try make(), heard: heard, stop) }
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        var position: Int64 = -1
        while !stop.isRequested {
            try await Task.sleep(for: .milliseconds(10))
            let status = service.status
            // Reading the topic takes long, so only where nothing moves.
            defer { position = status.acknowledgedPosition }
            guard status.phase == .streaming, status.inFlight == 0, status.acknowledgedPosition == position else {
                continue
            }
            if Set(try scene.content().records.compactMap(\.value)).count == events.count { break }
        }
        stop.request()
        try await end
    }
}

/// Is killed after some acknowledgements: hears no more, and stops.
private final class Mortal: SourceConnector {
    private let connector: any SourceConnector
    private var left: Int?
    private let stop: StopSignal

    init(_ connector: any SourceConnector, heard: Int?, _ stop: StopSignal) {
        self.connector = connector
        left = heard
        self.stop = stop
    }

    var keepsItsPlace: Bool { connector.keepsItsPlace }
    func follow(_ intake: SourceIntake) throws { try connector.follow(intake) }

    func acknowledged(_ position: SourcePosition) throws {
        if let left {
            guard left > 0 else { return stop.request() }
            self.left = left - 1
        }
        try connector.acknowledged(position)
    }
}

/// Counts, from behind the place that it is given.
private final class Numbers: BatchConnector {
    let keepsItsPlace = false
    private let last: Int

    init(upTo last: Int) { self.last = last }

    func next(after position: SourcePosition?) throws -> SourceBatch {
        let done = position.flatMap { Int(String(decoding: $0.token, as: UTF8.self)) } ?? 0
        var batch = SourceBatch()
        for number in done..<min(done + 5, last) {
            let place = Array("\(number + 1)".utf8)
            batch.events.append(
                SourceEvent(
                    value: place, key: place, eventID: place, mayRepeat: false, position: SourcePosition(token: place)))
        }
        batch.pauseMilliseconds = batch.events.isEmpty ? 5 : 0
        return batch
    }

    func acknowledged(_ position: SourcePosition) {}
}
