import Bytes
import Synchronization

/// All metrics of a process and their text in the Prometheus exposition format 0.0.4.
///
/// Asking for the same name and labels again gives the same metric, so that modules need not pass metrics around.
/// Names and labels are checked and rendered to bytes once; only numbers are written per scrape.
package final class MetricsRegistry: Sendable {
    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// A counter; `name` ends in `_total`.
    ///
    /// - Precondition: `name` and label names fit the grammar, and `name` is not in use for another kind. Names are the
    ///   program's own, never input.
    package func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        let child = child(of: name, help: help, kind: .counter, labels: labels) { labelText in
            .counter(Counter(prefix: Array("\(name)\(labelText.braced) ".utf8)))
        }
        guard case .counter(let counter) = child else { preconditionFailure("metric \(name) is not a counter") }
        return counter
    }

    /// A gauge; see ``counter(_:help:labels:)`` for what is required of names.
    package func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        let child = child(of: name, help: help, kind: .gauge, labels: labels) { labelText in
            .gauge(Gauge(prefix: Array("\(name)\(labelText.braced) ".utf8)))
        }
        guard case .gauge(let gauge) = child else { preconditionFailure("metric \(name) is not a settable gauge") }
        return gauge
    }

    /// A gauge that is read at each scrape. `read` must be quick and must not block; a second registration of the
    /// same name and labels replaces the first.
    package func gauge(
        _ name: String, help: String, labels: [(String, String)] = [], read: @escaping @Sendable () -> Double
    ) {
        let labelText = LabelText(labels)
        families.withLock { families in
            var family = Self.family(named: name, help: help, kind: .gauge, in: families)
            family.children[labelText.text] = .reader(Array("\(name)\(labelText.braced) ".utf8), read)
            families[name] = family
        }
    }

    /// A counter that something else keeps, such as the system, read at each scrape; see
    /// ``gauge(_:help:labels:read:)``. What it reads never falls.
    package func counter(
        _ name: String, help: String, labels: [(String, String)] = [], read: @escaping @Sendable () -> Double
    ) {
        let labelText = LabelText(labels)
        families.withLock { families in
            var family = Self.family(named: name, help: help, kind: .counter, in: families)
            family.children[labelText.text] = .reader(Array("\(name)\(labelText.braced) ".utf8), read)
            families[name] = family
        }
    }

    /// Gauges of one name whose label values come and go, read at each scrape: what is not among them any more is gone
    /// from the text, too. `readAll` must be quick and must not block, and gives one value per label for each row; a second
    /// registration of the name replaces the first.
    package func gauges(
        _ name: String, help: String, labels: [String],
        readAll: @escaping @Sendable () -> [(values: [String], value: Double)]
    ) {
        precondition(labels.allSatisfy(MetricName.isValidLabel), "a label of \(name) has no label's name")
        families.withLock { families in
            var family = Self.family(named: name, help: help, kind: .gauge, in: families)
            family.rows = { readAll().map { (Array(zip(labels, $0.values)), $0.value) } }
            families[name] = family
        }
    }

    /// A histogram with ascending upper bounds (`+Inf` is implied); see ``counter(_:help:labels:)`` for names.
    package func histogram(
        _ name: String, help: String, buckets: [Double] = Histogram.secondsBuckets, labels: [(String, String)] = []
    ) -> Histogram {
        precondition(zip(buckets, buckets.dropFirst()).allSatisfy { $0 < $1 }, "buckets of \(name) must ascend")
        let child = child(of: name, help: help, kind: .histogram, labels: labels) { labelText in
            let bounds = buckets.map { NumberText.string($0) } + ["+Inf"]
            let prefixes = HistogramPrefixes(
                buckets: bounds.map { bound in
                    Array("\(name)_bucket{\(labelText.text.isEmpty ? "" : labelText.text + ",")le=\"\(bound)\"} ".utf8)
                },
                sum: Array("\(name)_sum\(labelText.braced) ".utf8),
                count: Array("\(name)_count\(labelText.braced) ".utf8))
            return .histogram(Histogram(bounds: buckets, linePrefixes: prefixes))
        }
        guard case .histogram(let histogram) = child else { preconditionFailure("metric \(name) is not a histogram") }
        return histogram
    }

    /// Takes series away whose labels hold all of these, such as those of a topic partition that is not this process' any
    /// more: a last value that nobody moves would count for ever. Who still holds such a metric moves something that is
    /// not shown; asking for it again makes a new one.
    package func remove(_ name: String, labels: [(String, String)]) {
        let wanted = labels.map { LabelText([$0]).text }
        families.withLock { families in
            guard var family = families[name] else { return }
            family.children = family.children.filter { !Self.holds($0.key, wanted) }
            families[name] = family
        }
    }

    /// Takes the one series away that has just these labels.
    package func remove(_ name: String, exactly labels: [(String, String)]) {
        let text = LabelText(labels).text
        families.withLock { _ = $0[name]?.children.removeValue(forKey: text) }
    }

    /// What all counters of one name have counted, whatever their labels; 0 where there are none.
    package func total(of name: String) -> Int {
        families.withLock { families in
            (families[name]?.children.values).map { children in
                children.reduce(0) { sum, child in
                    guard case .counter(let counter) = child else { return sum }
                    return sum + counter.value
                }
            } ?? 0
        }
    }

    /// The sum of all series of one name whose labels hold these, in the metric's unit; what is not a number is left out.
    ///
    /// - Returns: nil where there is no such series, or none that is a number; of a histogram.
    package func sum(of name: String, labels: [(String, String)] = []) -> Double? {
        // Outside the lock, since readers may ask the registry themselves.
        let values = children(of: name, labels: labels).compactMap { child -> Double? in
            switch child {
            case .counter(let counter): Double(counter.value)
            case .gauge(let gauge): gauge.value
            case .reader(_, let read): read()
            case .histogram: nil
            }
        }.filter { !$0.isNaN }
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    /// What all histograms of one name whose labels hold these have counted together; nil where there are none.
    package func distribution(of name: String, labels: [(String, String)] = []) -> HistogramSnapshot? {
        children(of: name, labels: labels).reduce(nil) { sum, child in
            guard case .histogram(let histogram) = child else { return sum }
            let snapshot = histogram.snapshot()
            return sum?.adding(snapshot) ?? snapshot
        }
    }

    private func children(of name: String, labels: [(String, String)]) -> [Child] {
        let wanted = labels.map { LabelText([$0]).text }
        let family = families.withLock { $0[name] }
        return (family?.children ?? [:]).filter { Self.holds($0.key, wanted) }.map(\.value)
    }

    /// Whether a series' labels hold all of the wanted ones. No value can hold what separates labels: quotes are escaped.
    private static func holds(_ labels: String, _ wanted: [String]) -> Bool {
        wanted.allSatisfy { ",\(labels),".contains(",\($0),") }
    }

    /// The names in use, sorted; for the test that dashboards and metrics agree.
    package var names: [String] { families.withLock { $0.keys.sorted() } }

    /// The text of a scrape, families by name. Content type: `text/plain; version=0.0.4; charset=utf-8`.
    package func render() -> [UInt8] {
        let current = families.withLock { $0 }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(current.count * 160)
        for (name, family) in current.sorted(by: { $0.key < $1.key }) {
            let rows = family.rows?() ?? []
            guard !rows.isEmpty || !family.children.isEmpty else { continue }
            bytes.append(contentsOf: family.header)
            for (_, child) in family.children.sorted(by: { $0.key < $1.key }) { child.render(to: &bytes) }
            for (labels, value) in rows {
                Child.render(Array("\(name)\(LabelText(labels).braced) ".utf8), value, to: &bytes)
            }
        }
        return bytes
    }

    private func child(
        of name: String, help: String, kind: Kind, labels: [(String, String)], make: (LabelText) -> Child
    ) -> Child {
        let labelText = LabelText(labels)
        return families.withLock { families in
            var family = Self.family(named: name, help: help, kind: kind, in: families)
            if let known = family.children[labelText.text] { return known }
            let child = make(labelText)
            family.children[labelText.text] = child
            families[name] = family
            return child
        }
    }

    private static func family(named name: String, help: String, kind: Kind, in families: [String: Family]) -> Family {
        if let known = families[name] {
            precondition(known.kind == kind, "metric \(name) is already a \(known.kind.rawValue)")
            return known
        }
        precondition(MetricName.isValid(name), "\(name) is not a metric name")
        let help = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        return Family(kind: kind, header: Array("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n".utf8))
    }
}

private enum Kind: String {
    case counter, gauge, histogram
}

private struct Family {
    let kind: Kind
    let header: [UInt8]
    var children: [String: Child] = [:]
    /// Of ``MetricsRegistry/gauges(_:help:labels:readAll:)``.
    var rows: (@Sendable () -> [(labels: [(String, String)], value: Double)])?
}

private enum Child {
    case counter(Counter)
    case gauge(Gauge)
    case reader([UInt8], @Sendable () -> Double)
    case histogram(Histogram)

    func render(to bytes: inout [UInt8]) {
        switch self {
        case .counter(let counter):
            bytes.append(contentsOf: counter.prefix)
            Decimal.append(Int64(counter.value), to: &bytes)
            bytes.append(UInt8(ascii: "\n"))
        case .gauge(let gauge): Self.render(gauge.prefix, gauge.value, to: &bytes)
        case .reader(let prefix, let read): Self.render(prefix, read(), to: &bytes)
        case .histogram(let histogram):
            let snapshot = histogram.snapshot()
            var cumulative = 0
            for (prefix, count) in zip(histogram.linePrefixes.buckets, snapshot.counts) {
                cumulative += count
                bytes.append(contentsOf: prefix)
                Decimal.append(Int64(cumulative), to: &bytes)
                bytes.append(UInt8(ascii: "\n"))
            }
            Self.render(histogram.linePrefixes.sum, snapshot.sum, to: &bytes)
            bytes.append(contentsOf: histogram.linePrefixes.count)
            Decimal.append(Int64(cumulative), to: &bytes)
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    static func render(_ prefix: [UInt8], _ value: Double, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: prefix)
        bytes.append(contentsOf: NumberText.string(value).utf8)
        bytes.append(UInt8(ascii: "\n"))
    }
}

/// The labels of one metric as `a="b",c="d"`, values escaped.
private struct LabelText {
    let text: String

    init(_ labels: [(String, String)]) {
        text = labels.map { name, value in
            precondition(MetricName.isValidLabel(name), "\(name) is not a label name")
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
            return "\(name)=\"\(escaped)\""
        }.joined(separator: ",")
    }

    var braced: String { text.isEmpty ? "" : "{\(text)}" }
}

private enum MetricName {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    static func isValid(_ name: String) -> Bool {
        isValid(name.utf8) { $0 == UInt8(ascii: ":") }
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`, and not `le`, which belongs to histograms.
    static func isValidLabel(_ name: String) -> Bool {
        isValid(name.utf8) { _ in false } && name != "le"
    }

    private static func isValid(_ name: String.UTF8View, also: (UInt8) -> Bool) -> Bool {
        guard let first = name.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
        return name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: also(byte)
            }
        }
    }
}

private enum NumberText {
    static func string(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded() && abs(value) < 1e15 { return String(Int64(value)) }
        return value.description
    }
}
