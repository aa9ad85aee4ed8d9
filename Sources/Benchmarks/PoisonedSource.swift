import Simulator

/// Another source's events with a share of them spoilt, all kinds in turn; an empty payload stands for a tombstone.
///
/// The 2 MB value comes once in a thousand spoilt events: as often as the others it would triple the stream's bytes, and
/// those would be what is measured.
struct PoisonedSource: PlayableSource {
    let source: any PlayableSource
    let percent: Double

    private static let kinds = Poison.allCases.filter { $0 != .oversized }

    var summary: String { "\(source.summary), \(percent) % spoilt" }
    var count: Int? { source.count }
    var tail: [UInt8] { source.tail }
    func due(_ index: Int) -> Int64 { source.due(index) }
    func timestamp(_ index: Int) -> Int64 { source.timestamp(index) }
    func dataCentre(_ index: Int) -> Int { source.dataCentre(index) }
    func firstIndex(atOrAfter timestamp: Int64) -> Int { source.firstIndex(atOrAfter: timestamp) }

    func appendPayload(_ index: Int, to bytes: inout [UInt8]) {
        // The running number of spoilt events rises by one at each of them.
        let number = Int(Double(index) * percent / 100)
        guard Int(Double(index + 1) * percent / 100) > number else { return source.appendPayload(index, to: &bytes) }
        var event: [UInt8] = []
        source.appendPayload(index, to: &event)
        let kind = number % 1_000 == 500 ? Poison.oversized : Self.kinds[number % Self.kinds.count]
        bytes.append(contentsOf: kind.payload(of: event) ?? [])
    }
}
