import Bytes

/// A place in the source's stream, numbered by this platform so that two of them can be compared.
///
/// The source's own ids cannot: they hold one position per data centre, as an offset or a time.
package struct StreamPosition: Sendable, Equatable {
    /// Counts the events in the order in which they were received, over restarts; 0 is before the first.
    package var number: Int64
    /// The source's id at that event, to be sent back as `Last-Event-ID`; empty where it gave none.
    package var id: [UInt8]

    package init(number: Int64, id: [UInt8]) {
        self.number = number
        self.id = id
    }
}

/// Remembers which events are on their way to the broker, and up to which all have arrived.
///
/// Acknowledgements come in any order over topic partitions; the position only moves over a gapless prefix.
package struct AcknowledgementTracker {
    /// Everything up to here is acknowledged.
    package private(set) var acknowledged: StreamPosition
    private var inFlight: [Entry?] = []
    /// Entries of `inFlight` that are behind; they are removed in bulk.
    private var passed = 0
    private var nextNumber: Int64

    private struct Entry {
        var id: [UInt8]
        var isAcknowledged: Bool
    }

    /// - Parameters:
    ///   - acknowledged: the recovered position; number 0 and no id for a new topic.
    ///   - nextNumber: above every number ever given.
    package init(acknowledged: StreamPosition, nextNumber: Int64) {
        self.acknowledged = acknowledged
        self.nextNumber = max(nextNumber, acknowledged.number + 1)
        firstNumber = self.nextNumber
    }

    private var firstNumber: Int64

    /// Events that are sent and not yet below ``acknowledged``.
    package var inFlightCount: Int { inFlight.count - passed }

    /// The number that the next event will get.
    package var upcomingNumber: Int64 { nextNumber }

    /// Notes an event that is handed to the broker's client; returns its number.
    package mutating func add(id: [UInt8]) -> Int64 {
        inFlight.append(Entry(id: id, isAcknowledged: false))
        nextNumber += 1
        return nextNumber - 1
    }

    /// Notes that an event arrived (or was given up, loudly). A number that is not in flight is ignored.
    package mutating func acknowledge(_ number: Int64) {
        let index = number - firstNumber
        guard index >= passed, index < inFlight.count, inFlight[Int(index)] != nil else { return }
        inFlight[Int(index)]?.isAcknowledged = true
        while passed < inFlight.count, let entry = inFlight[passed], entry.isAcknowledged {
            acknowledged = StreamPosition(number: firstNumber + Int64(passed), id: entry.id)
            inFlight[passed] = nil
            passed += 1
        }
        if passed > 1_024 && passed * 2 > inFlight.count {
            inFlight.removeFirst(passed)
            firstNumber += Int64(passed)
            passed = 0
        }
    }

    /// The source's id of an event in flight; nil where it is not.
    package func id(of number: Int64) -> [UInt8]? {
        let index = number - firstNumber
        guard index >= passed, index < inFlight.count else { return nil }
        return inFlight[Int(index)]?.id
    }
}

/// The id to resume from, made safe.
package enum ResumeID {
    /// Goes back in every position that is a time, and leaves the others as they are.
    ///
    /// Wikimedia's ids are JSON arrays with an `offset` or a `timestamp` (milliseconds) per data centre. Offsets are
    /// exact. Times are not: many events share one, and events are out of order by several seconds, so that resuming
    /// exactly there would leave out some. Repeats are dropped later by their event id.
    /// Source: mediawiki EventStreams, "Last-Event-ID" and KafkaSSE's offsetsForTimes.
    package static func rewound(_ id: [UInt8], milliseconds: Int64) -> [UInt8] {
        let name = Array("\"timestamp\"".utf8)
        var result: [UInt8] = []
        result.reserveCapacity(id.count)
        var index = 0
        while index < id.count {
            guard id[index] == name[0], id[index...].starts(with: name) else {
                result.append(id[index])
                index += 1
                continue
            }
            result.append(contentsOf: name)
            index += name.count
            while index < id.count, id[index] == UInt8(ascii: ":") || id[index] == UInt8(ascii: " ") {
                result.append(id[index])
                index += 1
            }
            let digits = id[index...].prefix { (0x30...0x39).contains($0) }
            index += digits.count
            if let time = Int64(String(decoding: digits, as: UTF8.self)), time > milliseconds {
                Decimal.append(time - milliseconds, to: &result)
            } else {
                result.append(contentsOf: digits)
            }
        }
        return result
    }
}
