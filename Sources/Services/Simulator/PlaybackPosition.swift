import Bytes
import JSONScan

/// Where a client is in the stream: what it gets next.
package struct PlaybackPosition: Sendable, Equatable {
    /// The index of the next event of the source.
    package var next: Int
    /// How many injected events lie before it.
    package var injected: Int

    package init(next: Int = 0, injected: Int = 0) {
        self.next = next
        self.injected = injected
    }

    /// Appends the SSE id of the event at `next - 1`: as stream.wikimedia.org does, a JSON array with one position per
    /// data centre, to be sent back whole. The index stands as `offset` at the event's data centre; only where events
    /// were injected, a third member counts those.
    func appendID(dataCentre: Int, timestamp: Int64, of stream: StreamNames = .recentChange, to bytes: inout [UInt8]) {
        for member in 0..<2 {
            bytes.append(contentsOf: member == 0 ? stream.eqiad : stream.codfw)
            if member == dataCentre {
                Decimal.append(Int64(next - 1), to: &bytes)
                bytes.append(contentsOf: Self.timestampKey)
                Decimal.append(timestamp, to: &bytes)
            } else {
                bytes.append(contentsOf: Self.none)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        appendInjections(to: &bytes)
    }

    /// Appends an SSE id of times alone, as stream.wikimedia.org gives them: whoever comes back with it gets again what
    /// lies at that time.
    ///
    /// - Parameter times: of the last event of each data centre, in milliseconds since 1970; nil before the first.
    func appendID(times: [Int64?], of stream: StreamNames = .recentChange, to bytes: inout [UInt8]) {
        for (member, time) in times.enumerated() {
            // The names end with `"offset":`, which a time has in place of an offset.
            let name = member == 0 ? stream.eqiad : stream.codfw
            bytes.append(contentsOf: time == nil ? name[...] : name.dropLast(Self.offsetKeyCount))
            if let time {
                bytes.append(contentsOf: Self.timestampKey.dropFirst())
                Decimal.append(time, to: &bytes)
            } else {
                bytes.append(contentsOf: Self.none)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        appendInjections(to: &bytes)
    }

    private func appendInjections(to bytes: inout [UInt8]) {
        if injected > 0 {
            bytes.append(contentsOf: Self.injections)
            Decimal.append(Int64(injected - 1), to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private static let offsetKeyCount = #""offset":"#.utf8.count

    /// The beginnings of both members of a stream's ids.
    struct StreamNames: Sendable {
        let eqiad: [UInt8]
        let codfw: [UInt8]

        init(_ stream: SimulatedStream) {
            eqiad = Array(#"[{"topic":"eqiad.\#(stream.name)","partition":0,"offset":"#.utf8)
            codfw = Array(#",{"topic":"codfw.\#(stream.name)","partition":0,"offset":"#.utf8)
        }

        static let recentChange = StreamNames(.recentChange)
    }

    private static let injections = Array(#",{"topic":"simulator.injected","partition":0,"offset":"#.utf8)
    private static let timestampKey = Array(#","timestamp":"#.utf8)
    private static let none = Array("-1".utf8)

    /// Reads a `Last-Event-ID`: offsets where there are any (those of this simulator), else times (those of the real
    /// stream), of which the earliest counts, so that nothing is left out.
    ///
    /// - Throws: a sentence about what is wrong, for a 400.
    static func parse(_ text: String, source: some PlayableSource, injectedNow: Int) throws(PositionError)
        -> PlaybackPosition
    {
        guard let value = try? JSONValue.parse(Array(text.utf8)), let members = value.array else {
            throw PositionError(description: "Last-Event-ID is not a JSON array")
        }
        var result = PlaybackPosition(next: -1, injected: 0)
        var times: [Int64] = []
        for member in members {
            guard member["topic"]?.string != nil else {
                throw PositionError(description: "a member of Last-Event-ID has no topic")
            }
            if let offset = member["offset"]?.integer {
                if member["topic"]?.string == "simulator.injected" {
                    result.injected = Int(clamping: offset) &+ 1
                } else if offset >= 0 {
                    result.next = max(result.next, Int(clamping: offset) &+ 1)
                }
            } else if let time = member["timestamp"]?.integer {
                times.append(time)
            } else {
                throw PositionError(description: "a member of Last-Event-ID has neither offset nor timestamp")
            }
        }
        if result.next < 0 { result.next = times.min().map { source.firstIndex(atOrAfter: $0) } ?? 0 }
        result.next = min(max(0, result.next), source.count ?? Int.max)
        result.injected = min(max(0, result.injected), injectedNow)
        return result
    }
}

/// What is wrong with a `Last-Event-ID`.
struct PositionError: Error, CustomStringConvertible {
    let description: String
}
