import Bytes
import Glibc
import Telemetry
import Testing

@testable import Metering

/// What the system says of this process.
@Suite struct ProcessMetricsTests {
    private func value(_ name: String, in text: String) throws -> Double {
        let line = try #require(
            text.split(separator: "\n").first { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") })
        return try #require(Double(line.split(separator: " ").last ?? ""))
    }

    @Test func allNamesHaveSensibleValues() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.register(in: registry, version: "1.2.3", commit: "")
        let text = String(decoding: registry.render(), as: UTF8.self)
        let now = Double(SystemClock.epochMilliseconds()) / 1_000
        let page = Double(sysconf(Int32(_SC_PAGESIZE)))
        #expect(try value("process_resident_memory_bytes", in: text) > 1_000_000)
        #expect(try value("process_resident_memory_bytes", in: text).truncatingRemainder(dividingBy: page) == 0)
        #expect(
            try value("process_virtual_memory_bytes", in: text) >= value("process_resident_memory_bytes", in: text))
        #expect(try value("process_threads", in: text) >= 1)
        #expect(try value("process_open_fds", in: text) >= 3)
        #expect(try value("process_max_fds", in: text) >= value("process_open_fds", in: text))
        // A test process lives for minutes; the clock's grain is a second at the boot time.
        let started = try value("process_start_time_seconds", in: text)
        #expect(started < now + 2 && started > now - 86_400)
        #expect(try abs(value("medallion_clock_timestamp_seconds", in: text) - now) < 60)
        #expect(try value("process_cpu_seconds_total", in: text) > 0)
        #expect(text.contains("# TYPE process_cpu_seconds_total counter\n"))
        #expect(
            text.contains(
                "medallion_build_info{version=\"1.2.3\",commit=\"unknown\",swift=\"\(_SwiftStdlibVersion.current)\"} 1\n"
            ))
    }

    @Test func openFilesAreCountedAtEachScrape() {
        let before = ProcessReader().look().openFiles
        let opened = (0..<100).map { _ in open("/dev/null", O_RDONLY) }
        defer { for descriptor in opened { close(descriptor) } }
        // Others of this process may close some meanwhile.
        #expect(ProcessReader().look().openFiles >= before + 50)
    }

    @Test func processorTimeGrowsWithWork() {
        let before = ProcessReader.processorSeconds()
        var sum: UInt64 = 0
        for number in 0..<2_000_000 as Range<UInt64> { sum = sum &* 31 &+ number }
        #expect(sum != 0)
        #expect(ProcessReader.processorSeconds() > before)
    }

    /// The name may be anything, parentheses and blanks included.
    @Test func theNameOfAProcessIsNotReadAsFields() throws {
        let fields = (3...52).map { "\($0)" }.joined(separator: " ")
        let stat = try #require(ProcessStat("4711 (a) b) c (d) \(fields)\n"))
        #expect(stat.threads == 20 && stat.startTicks == 22 && stat.virtualBytes == 23 && stat.residentPages == 24)
        #expect(ProcessStat("") == nil)
        #expect(ProcessStat("4711 (x) S 1 2") == nil)
    }
}
