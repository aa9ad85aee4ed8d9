import Files
import Glibc

/// The most memory that a process has had resident since a moment, and its open files.
enum ProcessPeak {
    /// Begins anew.
    ///
    /// - Throws: ``FileError`` where /proc does not let this user.
    static func reset(_ process: Int32) throws {
        // proc(5): 5 resets the peak resident set size.
        let path = "/proc/\(process)/clear_refs"
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        guard write(descriptor, "5", 1) == 1 else { throw FileError("write", path) }
    }

    /// MiB since then; 0 where /proc tells nothing.
    static func megabytes(_ process: Int32) -> Double {
        guard let file = try? File("/proc/\(process)/status", .read), let bytes = try? file.read(at: 0, count: 8_192)
        else { return 0 }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("VmHWM:") {
            return (line.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) / 1_024
        }
        return 0
    }

    static func openFiles(_ process: Int32) -> Int { (try? Folder.list("/proc/\(process)/fd"))?.count ?? 0 }
}

/// What a histogram of the metrics page counted between two looks at it.
struct HistogramWindow: Sendable {
    /// Upper bounds, ascending, with how many values lie at or below.
    private let buckets: [(bound: Double, count: Double)]

    /// - Parameters:
    ///   - metric: without `_bucket`; its labels are summed up.
    ///   - before: the page at the beginning.
    init(_ metric: String, before: [UInt8], after: [UInt8]) {
        let (old, new) = (Self.cumulative(metric, before), Self.cumulative(metric, after))
        buckets = new.map { ($0.key, $0.value - (old[$0.key] ?? 0)) }.sorted { $0.0 < $1.0 }
    }

    var count: Double { buckets.last?.count ?? 0 }

    /// The value below which the share `q` lies, as Prometheus' histogram_quantile has it; nil without values.
    func quantile(_ q: Double) -> Double? {
        guard count > 0 else { return nil }
        let rank = q * count
        var (low, below) = (0.0, 0.0)
        for (bound, count) in buckets {
            if count >= rank {
                guard bound.isFinite else { return low }
                return low + (bound - low) * (rank - below) / max(count - below, 1)
            }
            (low, below) = (bound, count)
        }
        return low
    }

    private static func cumulative(_ metric: String, _ page: [UInt8]) -> [Double: Double] {
        var counts: [Double: Double] = [:]
        let name = metric + "_bucket{"
        for line in page.split(separator: 0x0A) where line.starts(with: name.utf8) {
            let text = String(decoding: line, as: UTF8.self)
            guard let start = text.firstRange(of: "le=\"")?.upperBound, let end = text[start...].firstIndex(of: "\""),
                let count = Double(text.split(separator: " ").last ?? "")
            else { continue }
            let bound = text[start..<end] == "+Inf" ? Double.infinity : Double(text[start..<end]) ?? .infinity
            counts[bound, default: 0] += count
        }
        return counts
    }
}
