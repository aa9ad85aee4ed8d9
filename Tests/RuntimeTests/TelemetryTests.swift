import Bytes
import Synchronization
import Telemetry
import Testing

@Suite struct MetricsTests {
    @Test func rendersPrometheusText() {
        let registry = MetricsRegistry()
        registry.counter("b_total", help: "line\nbreak", labels: [("wiki", "a\"b\\c\nd")]).increment(by: 3)
        registry.counter("b_total", help: "ignored").increment(by: -5)
        registry.gauge("a_bytes", help: "x").set(1.5)
        registry.gauge("c_now", help: "y") { .infinity }
        let expected = """
            # HELP a_bytes x
            # TYPE a_bytes gauge
            a_bytes 1.5
            # HELP b_total line\\nbreak
            # TYPE b_total counter
            b_total 0
            b_total{wiki="a\\"b\\\\c\\nd"} 3
            # HELP c_now y
            # TYPE c_now gauge
            c_now +Inf

            """
        #expect(String(decoding: registry.render(), as: UTF8.self) == expected)
        #expect(registry.counter("b_total", help: "", labels: [("wiki", "a\"b\\c\nd")]).value == 3)
    }

    @Test func whatOthersKeepIsReadAtTheScrape() {
        let registry = MetricsRegistry()
        let rows = Mutex<[(values: [String], value: Double)]>([])
        let seconds = Mutex(0.25)
        registry.counter("a_seconds_total", help: "a") { seconds.withLock { $0 } }
        registry.gauges("b_bytes", help: "b", labels: ["x", "y"]) { rows.withLock { $0 } }
        func text() -> String { String(decoding: registry.render(), as: UTF8.self) }
        let head = "# HELP a_seconds_total a\n# TYPE a_seconds_total counter\na_seconds_total "
        // A family that has nothing to say is not there at all.
        #expect(text() == head + "0.25\n")
        rows.withLock { $0 = [(["1", "a\"b"], 7), (["2", "c"], 8.5)] }
        seconds.withLock { $0 = 3 }
        let b = "# HELP b_bytes b\n# TYPE b_bytes gauge\n"
        #expect(text() == head + "3\n" + b + "b_bytes{x=\"1\",y=\"a\\\"b\"} 7\nb_bytes{x=\"2\",y=\"c\"} 8.5\n")
        rows.withLock { $0 = [(["2", "c"], 9)] }
        #expect(text() == head + "3\n" + b + "b_bytes{x=\"2\",y=\"c\"} 9\n")
    }

    @Test func seriesCanBeTakenAway() {
        let registry = MetricsRegistry()
        func gauge(_ partition: String, _ rule: String, _ topic: String = "a") -> Gauge {
            registry.gauge(
                "lag", help: "x", labels: [("rule", rule), ("topic", topic), ("partition", partition)])
        }
        for partition in ["0", "1", "11"] { for rule in ["r", "s"] { gauge(partition, rule).set(5) } }
        // A value that looks like another label is none.
        gauge("9", "x\",partition=\"1").set(7)
        registry.remove("lag", labels: [("topic", "a"), ("partition", "1")])
        registry.remove("nothing", labels: [])
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(!text.contains("partition=\"1\"}") && text.contains("partition=\"11\"} 5\n"))
        #expect(text.split(separator: "\n").count == 2 + 5)
        #expect(gauge("1", "r").value == 0, "a new one")
        registry.remove("lag", labels: [])
        #expect(registry.render().isEmpty)
    }

    @Test func seriesOfOneNameAreAddedUp() {
        let registry = MetricsRegistry()
        registry.counter("a_total", help: "A.", labels: [("of", "x"), ("by", "1")]).increment(by: 2)
        registry.counter("a_total", help: "A.", labels: [("of", "x"), ("by", "2")]).increment(by: 3)
        registry.counter("a_total", help: "A.", labels: [("of", "y"), ("by", "1")]).increment(by: 7)
        #expect(registry.sum(of: "a_total") == 12)
        #expect(registry.sum(of: "a_total", labels: [("of", "x")]) == 5)
        #expect(registry.sum(of: "a_total", labels: [("of", "z")]) == nil && registry.sum(of: "b_total") == nil)
        // One that cannot be read now says nothing of the others, and one that asks the registry itself is no deadlock.
        registry.gauge("b", help: "B.", labels: [("of", "x")]) { .nan }
        #expect(registry.sum(of: "b") == nil)
        registry.gauge("b", help: "B.", labels: [("of", "y")]) { registry.sum(of: "a_total") ?? 0 }
        #expect(registry.sum(of: "b") == 12)
        for (label, value) in [("x", 0.5), ("y", 1.5)] {
            registry.histogram("c", help: "C.", buckets: [1, 2], labels: [("of", label)]).observe(value)
        }
        #expect(registry.distribution(of: "c")?.counts == [1, 1, 0] && registry.distribution(of: "c")?.sum == 2)
        #expect(registry.distribution(of: "c", labels: [("of", "y")])?.counts == [0, 1, 0])
        #expect(registry.distribution(of: "a_total") == nil && registry.sum(of: "c") == nil)
    }

    @Test func histogramCountsAtItsBounds() {
        let registry = MetricsRegistry()
        let histogram = registry.histogram("h_seconds", help: "h", buckets: [0.1, 1], labels: [("arm", "x")])
        for value in [0.05, 0.1, 0.5, 1, 7, .nan] { histogram.observe(value) }
        let text = String(decoding: registry.render(), as: UTF8.self)
        #expect(text.contains("h_seconds_bucket{arm=\"x\",le=\"0.1\"} 2\n"))
        #expect(text.contains("h_seconds_bucket{arm=\"x\",le=\"1\"} 4\n"))
        #expect(text.contains("h_seconds_bucket{arm=\"x\",le=\"+Inf\"} 5\n"))
        #expect(text.contains("h_seconds_sum{arm=\"x\"} 8.65\n"))
        #expect(text.contains("h_seconds_count{arm=\"x\"} 5\n"))
    }

    @Test func quantilesInterpolate() {
        let snapshot = HistogramSnapshot(bounds: [1, 2, 4], counts: [10, 10, 0, 0], sum: 20)
        #expect(snapshot.quantile(0.5) == 1)
        #expect(snapshot.quantile(0.75) == 1.5)
        #expect(snapshot.quantile(1) == 2)
        #expect(HistogramSnapshot(bounds: [1], counts: [0, 0], sum: 0).quantile(0.5) == nil)
        #expect(HistogramSnapshot(bounds: [1], counts: [0, 5], sum: 50).quantile(0.5) == 1)
        let later = HistogramSnapshot(bounds: [1, 2, 4], counts: [10, 10, 8, 0], sum: 44)
        #expect(later.since(snapshot).counts == [0, 0, 8, 0])
    }

    @Test func countsFromManyTasksAddUp() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("n_total", help: "n")
        let histogram = registry.histogram("n_seconds", help: "n")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1_000 {
                        counter.increment()
                        histogram.observe(0.25)
                    }
                }
            }
        }
        #expect(counter.value == 8_000)
        #expect(histogram.snapshot().count == 8_000)
        #expect(histogram.snapshot().sum == 2_000)
    }
}

@Suite struct LoggerTests {
    private final class Capture: Sendable {
        let lines = Mutex<[UInt8]>([])
        func sink(_ format: LogFormat) -> LogSink {
            LogSink(format: format, clock: { 1_763_715_780_123 }) { bytes in self.lines.withLock { $0 += bytes } }
        }
        var text: String { lines.withLock { String(decoding: $0, as: UTF8.self) } }
    }

    @Test func hostileTextStaysOnOneLine() {
        let capture = Capture()
        let logger = Logger("test", sink: capture.sink(.text))
        logger.info("a\nb\u{1B}[2J\u{202E}\u{2028}", ["title": "x\r\n2026 error forged", "n": "1", "empty": ""])
        #expect(
            capture.text
                == "2025-11-21T09:03:00.123Z info    test: a\\nb\\u{1B}[2J\\u{202E}\\u{2028} "
                + "title=\"x\\r\\n2026 error forged\" n=1 empty=\"\"\n")
    }

    @Test func jsonLinesAreOneObjectEach() {
        let capture = Capture()
        Logger("test", sink: capture.sink(.json)).warning("a\n\"b\"", ["k": "é\u{1}"])
        #expect(
            capture.text == "{\"time\":\"2025-11-21T09:03:00.123Z\",\"level\":\"warning\",\"component\":\"test\","
                + "\"message\":\"a\\n\\\"b\\\"\",\"k\":\"é\\u0001\"}\n")
    }

    @Test func levelsBelowAreDropped() {
        let capture = Capture()
        let logger = Logger("test", level: .warning, sink: capture.sink(.text))
        logger.debug("d")
        logger.info("i")
        logger.scoped("other").error("e")
        #expect(capture.text.hasSuffix("error   other: e\n"))
        #expect(capture.text.split(separator: "\n").count == 1)
    }

    @Test func longTextIsCut() {
        let capture = Capture()
        Logger("test", sink: capture.sink(.text)).info(String(repeating: "é", count: 10_000))
        #expect(capture.text.count < LogText.lengthMax + 100)
    }
}
