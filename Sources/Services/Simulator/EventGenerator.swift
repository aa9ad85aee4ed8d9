import Bytes

/// Invents the events of a stream: every event is a function of the seed and its index, so that any client can resume anywhere
/// and the same seed gives the same stream.
///
/// The mix of recent changes is that of real streams: about 56 % edits, 37 % categorizations, 4 % log entries, 3 % new pages
/// and a few structured discussions (type `142`); over a hundred wikis in 17 scripts; 37 % bots; events of two data centres that
/// arrive out of order (about a third of neighbours); some sent twice; some canaries. Texts come from ``WordLists``.
package struct EventGenerator: Sendable {
    /// Names the whole stream.
    package let seed: UInt64
    /// `meta.dt` of the event 0, milliseconds since 1970.
    package let startMilliseconds: Int64
    /// How fast `meta.dt` advances.
    package let eventsPerSecond: Double
    /// Which stream.
    package let stream: SimulatedStream

    /// One in so many events repeats an earlier one (a producer's retry on the other side).
    static let duplicateEvery = 100
    /// One in so many events is a canary.
    static let canaryEvery = 300

    package init(
        seed: UInt64, startMilliseconds: Int64, eventsPerSecond: Double, stream: SimulatedStream = .recentChange
    ) {
        self.seed = seed
        self.stream = stream
        self.startMilliseconds = startMilliseconds
        self.eventsPerSecond = max(0.001, eventsPerSecond)
    }

    /// What kind of event an index is.
    package enum Kind: Equatable, Sendable {
        case change, canary
        /// The same bytes as the event of that index.
        case repeated(Int)
    }

    /// Decided before anything else is drawn, so that it can be asked cheaply.
    package func kind(of index: Int) -> Kind {
        var random = generator(for: index, purpose: 1)
        let draw = Int.random(in: 0..<(Self.duplicateEvery * Self.canaryEvery), using: &random)
        if draw.isMultiple(of: Self.duplicateEvery) {
            let earlier = index - Int.random(in: 1...50, using: &random)
            // Only originals are repeated, so that there are no chains to follow.
            if earlier >= 0, kind(of: earlier) == .change { return .repeated(earlier) }
            return .change
        }
        return draw % Self.canaryEvery == 1 ? .canary : .change
    }

    /// `meta.dt` of an event, milliseconds since 1970. Neighbours overtake each other as in real streams.
    package func time(of index: Int) -> Int64 {
        var random = generator(for: index, purpose: 2)
        let spacing = 1_000 / eventsPerSecond
        // Uniform lateness of 6.6 spacings inverts (1 - 1/6.6)² / 2 = 36 % of neighbours.
        let lateness = Double.random(in: 0..<6.6, using: &random) * spacing
        return startMilliseconds + Int64(Double(index) * spacing - lateness)
    }

    /// 0 for eqiad, 1 for codfw.
    package func dataCentre(of index: Int) -> Int {
        var random = generator(for: index, purpose: 3)
        return Int.random(in: 0..<10, using: &random) == 0 ? 1 : 0
    }

    /// Appends the event's JSON, on one line without a newline.
    package func append(_ index: Int, to bytes: inout [UInt8]) {
        switch kind(of: index) {
        case .repeated(let earlier): append(earlier, to: &bytes)
        case .canary:
            var writer = JSONWriter(taking: &bytes)
            var random = generator(for: index, purpose: 0)
            appendCanary(index, &random, to: &writer)
            bytes = writer.bytes
        case .change:
            var draft = ChangeDraft(index: index, random: generator(for: index, purpose: 0))
            draft.choose(for: stream)
            draft.isCodfw = dataCentre(of: index) == 1
            draft.time = time(of: index)
            draft.offset = 5_960_000_000 + index
            var writer = JSONWriter(taking: &bytes)
            if stream == .recentChange {
                draft.write(to: &writer)
            } else {
                draft.writeRevisionEvent(of: stream, to: &writer)
            }
            bytes = writer.bytes
        }
    }

    private func generator(for index: Int, purpose: UInt64) -> SeededGenerator {
        SeededGenerator(
            seed: seed ^ stream.salt ^ (UInt64(bitPattern: Int64(index)) &* 0xD1B5_4A32_D192_ED03) ^ (purpose << 60))
    }

    private func appendCanary(_ index: Int, _ random: inout SeededGenerator, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("$schema")
        writer.string(
            stream == .recentChange ? "/mediawiki/recentchange/1.0.1" : "/mediawiki/revision/create/2.0.0")
        writer.key("meta")
        writer.beginObject()
        writer.key("dt")
        writer.string(CivilTime.rfc3339(time(of: index)))
        writer.key("stream")
        writer.string(stream.name)
        writer.key("domain")
        writer.string("canary")
        writer.key("id")
        writer.string(UUIDText.string(&random))
        writer.key("request_id")
        writer.string(UUIDText.string(&random))
        writer.key("topic")
        writer.string("\(dataCentre(of: index) == 1 ? "codfw" : "eqiad").\(stream.name)")
        writer.key("partition")
        writer.integer(0)
        writer.key("offset")
        writer.integer(5_960_000_000 + index)
        writer.endObject()
        writer.endObject()
    }
}

extension JSONWriter {
    /// Goes on after `bytes`, keeping their storage; give it back by assigning ``bytes``.
    fileprivate init(taking bytes: inout [UInt8]) {
        self.init(capacity: 0)
        swap(&self.bytes, &bytes)
    }
}
