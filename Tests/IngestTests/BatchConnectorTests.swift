import Bytes
import Ingest
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// Counts, from behind the place that it is given.
private final class Numbers: BatchConnector {
    let keepsItsPlace = false
    private let last: Int
    private let seen: Seen

    /// What it was asked and told.
    final class Seen: Sendable {
        private let state = Mutex<(first: String?, told: String)>((nil, ""))
        var first: String? { state.withLock { $0.first } }
        var told: String { state.withLock { $0.told } }
        func ask(_ place: String) { state.withLock { $0.first = $0.first ?? place } }
        func tell(_ place: String) { state.withLock { $0.told = place } }
    }

    init(upTo last: Int, _ seen: Seen) {
        self.last = last
        self.seen = seen
    }

    func next(after position: SourcePosition?) throws -> SourceBatch {
        let text = String(decoding: position?.token ?? [], as: UTF8.self)
        seen.ask(text)
        let done = Int(text) ?? 0
        var batch = SourceBatch()
        for number in done..<min(done + 20, last) {
            let place = Array("\(number + 1)".utf8)
            batch.events.append(
                SourceEvent(
                    value: place, key: nil, eventID: place, mayRepeat: false, position: SourcePosition(token: place)))
        }
        batch.pauseMilliseconds = batch.events.isEmpty ? 5 : 0
        return batch
    }

    func acknowledged(_ position: SourcePosition) {
        seen.tell(String(decoding: position.token, as: UTF8.self))
    }
}

/// A connector that keeps no file: its place is in the topic's records.
@Suite(.timeLimit(.minutes(2)))
struct BatchConnectorTests {
    private let scene: ProducerScene

    init() throws { scene = try ProducerScene() }

    private func run(upTo last: Int) async throws -> Numbers.Seen {
        let seen = Numbers.Seen()
        let service = ConnectorService(
            source: "numbers", configuration: scene.configuration, metrics: MetricsRegistry(),
            logger: Logger("test", level: .error)
        ) { Numbers(upTo: last, seen) }
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        while seen.told != "\(last)" { try await Task.sleep(for: .milliseconds(5)) }
        stop.request()
        try await end
        return seen
    }

    @Test("it goes on behind what arrived, and loses nothing")
    func resumes() async throws {
        #expect(try await run(upTo: 50).first == "")
        let again = try await run(upTo: 90)
        // The last record says what had arrived when it was sent: a part is read again, and says so.
        let place = try #require(again.first.flatMap { Int($0) } ?? (again.first == "" ? 0 : nil))
        #expect(place <= 50)
        let records = try scene.content().records
        #expect(Set(records.compactMap { $0.headers[EventIDHeader.header] }).count == 90)
        #expect(records.count == 90 + (50 - place))
        #expect(records.count { $0.headers[RepeatMark.header] != nil } >= 50 - place)
    }
}
