import Bytes
import Glibc
import Synchronization
package import Telemetry

/// What the system says of this process, under the names that Prometheus' own clients use, and which build it is.
///
/// Read at a scrape, from /proc and by system calls that do not block; all of one scrape comes from one look. Names:
/// https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
package enum ProcessMetrics {
    /// Registers them.
    ///
    /// - Parameters:
    ///   - version: of the program.
    ///   - commit: what it was built from; empty where that is not known.
    package static func register(in registry: MetricsRegistry, version: String, commit: String) {
        let process = ProcessReader()
        registry.counter("process_cpu_seconds_total", help: "Processor time of user and system, in seconds.") {
            ProcessReader.processorSeconds()
        }
        registry.gauge("process_resident_memory_bytes", help: "Memory that lies in the machine's, in bytes.") {
            process.look().residentBytes
        }
        registry.gauge("process_virtual_memory_bytes", help: "Address space that is in use, in bytes.") {
            process.look().virtualBytes
        }
        registry.gauge("process_threads", help: "Threads of the system.") { process.look().threads }
        registry.gauge("process_open_fds", help: "Open files and connections.") { process.look().openFiles }
        registry.gauge("process_max_fds", help: "Files and connections that may be open at once.") {
            process.look().openFilesMax
        }
        registry.gauge("process_start_time_seconds", help: "When the process started, in seconds since 1970.") {
            process.startSeconds()
        }
        registry.gauge(
            "medallion_clock_timestamp_seconds",
            help:
                "The process's clock, in seconds since 1970. Where it is not the time of the scrape, a clock is wrong."
        ) { Double(SystemClock.epochMilliseconds()) / 1_000 }
        registry.gauge(
            "medallion_build_info",
            help:
                "Always 1; the labels say which build it is. `commit` is `unknown` unless `make build` wrote it down.",
            labels: [
                ("version", version), ("commit", commit.isEmpty ? "unknown" : commit),
                ("swift", "\(_SwiftStdlibVersion.current)"),
            ]
        ).set(1)
    }
}

/// Reads /proc/self. One look serves all metrics of a scrape.
final class ProcessReader: Sendable {
    /// What one look saw; NaN where the system does not say.
    struct Look: Sendable {
        var atNanoseconds: Int64 = 0
        var residentBytes = Double.nan
        var virtualBytes = Double.nan
        var threads = Double.nan
        var openFiles = Double.nan
        var openFilesMax = Double.nan
    }

    /// For so long a look is as good as a new one.
    private static let nanosecondsMax: Int64 = 100_000_000

    private let last = Mutex<Look?>(nil)
    private let started = Mutex<Double?>(nil)

    /// Read once, at the first scrape: most commands see none.
    func startSeconds() -> Double {
        started.withLock { started in
            let known = started ?? Self.startTime()
            started = known
            return known
        }
    }

    func look() -> Look {
        last.withLock { last in
            let now = SystemClock.monotonicNanoseconds()
            if let last, now - last.atNanoseconds < Self.nanosecondsMax { return last }
            var look = Look(atNanoseconds: now)
            if let stat = ProcessStat(Self.text(of: "/proc/self/stat")) {
                look.residentBytes = stat.residentPages * Double(sysconf(Int32(_SC_PAGESIZE)))
                look.virtualBytes = stat.virtualBytes
                look.threads = stat.threads
            }
            look.openFiles = Self.openFiles()
            var limit = rlimit()
            if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
                look.openFilesMax = limit.rlim_cur == rlim_t.max ? .infinity : Double(limit.rlim_cur)
            }
            last = look
            return look
        }
    }

    /// Processor time of all threads, those that ended as well, in seconds.
    static func processorSeconds() -> Double {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return .nan }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Entries of /proc/self/fd but for the one that reads it; some 0.1 µs each.
    private static func openFiles() -> Double {
        guard let folder = opendir("/proc/self/fd") else { return .nan }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            // “.” and “..” begin with a dot, numbers do not.
            if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
        }
        return Double(max(0, count - 1))
    }

    private static func startTime() -> Double {
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        guard let stat = ProcessStat(text(of: "/proc/self/stat")), ticks > 0,
            let line = text(of: "/proc/stat").split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let boot = Double(line.dropFirst("btime ".count))
        else { return .nan }
        return boot + stat.startTicks / ticks
    }

    /// A file of /proc; empty where it cannot be read. Its size is not known before.
    private static func text(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while bytes.count < 1 << 22 {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Some fields of /proc/PID/stat (proc(5)).
struct ProcessStat: Equatable {
    let threads: Double
    let startTicks: Double
    let virtualBytes: Double
    let residentPages: Double

    /// Nil where the text is not one.
    init?(_ text: String) {
        // The name, second, may hold blanks and parentheses; what follows its last one does not.
        guard let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: name)...].split(whereSeparator: \.isWhitespace)
        // The first of these is the third of all.
        func field(_ number: Int) -> Double? { fields.count > number - 3 ? Double(fields[number - 3]) : nil }
        guard let threads = field(20), let start = field(22), let virtual = field(23), let resident = field(24) else {
            return nil
        }
        self.threads = threads
        startTicks = start
        virtualBytes = virtual
        residentPages = resident
    }
}
