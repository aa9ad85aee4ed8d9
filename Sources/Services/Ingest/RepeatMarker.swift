import Bytes
import JSONScan

/// Tells which events may have been sent before, after a start or a reconnect that went back in the source's stream.
///
/// An event may be a repeat until the stream's position has passed the highest one known from before the interruption.
/// The source's id holds a position per topic partition of its own, as an offset or a time, so each is compared for itself.
/// A time is passed with a margin: many events share one, and they are out of order by some seconds. Ids of another form
/// cannot be compared; then as many events are marked as may have been sent behind the position that was resumed from.
///
/// A pure value. Too much is marked rather than too little: a mark only widens the stream job's search for a copy.
struct RepeatMarker: Sendable, Equatable {
    /// Events that are marked beyond those known to be sent, where positions cannot be compared: sources that resume go
    /// back a little on their own.
    static let slackEvents: Int64 = 1_000
    /// After so many events behind the first position that was passed, the others are those of topic partitions without
    /// traffic.
    static let idleEvents = 10_000

    /// One position of an id.
    private enum Place: Equatable {
        case offset(Int64)
        case time(Int64)
    }

    /// The highest positions from before, by the source's topic and number.
    private var highest: [String: Place] = [:]
    private var hasIDs = false
    /// Those that the present connection has not passed yet.
    private var ahead: Set<String> = []
    /// Events still to be marked where positions cannot be compared.
    private var countLeft: Int64 = 0
    private var previous: [String: Place] = [:]
    private var wasRepeat = true
    private var eventsSincePassed = 0
    private var hasPassed = false

    /// Whether events have to be looked at. The common case is that none has.
    private(set) var isWatching = false

    /// Notes an id that was sent.
    mutating func note(known id: [UInt8]) {
        guard !id.isEmpty else { return }
        hasIDs = true
        for (name, place) in Self.places(id) {
            switch (highest[name], place) {
            case (.offset(let old)?, .offset(let new)): highest[name] = .offset(max(old, new))
            case (.time(let old)?, .time(let new)): highest[name] = .time(max(old, new))
            default: highest[name] = place
            }
        }
    }

    /// Begins a connection that resumes from an id that was known.
    ///
    /// - Parameter sentBehind: how many events were sent, or may have been, behind the position resumed from.
    mutating func begin(sentBehind: Int64) {
        guard hasIDs else { return }
        ahead = Set(highest.keys)
        countLeft = highest.isEmpty ? sentBehind + Self.slackEvents : 0
        previous = [:]
        wasRepeat = true
        hasPassed = false
        eventsSincePassed = 0
        isWatching = !ahead.isEmpty || countLeft > 0
    }

    /// Whether the next event of the connection may have been sent before.
    ///
    /// - Parameter marginMilliseconds: by how much a time must be exceeded to be passed.
    mutating func mayRepeat(_ id: [UInt8], marginMilliseconds: Int64) -> Bool {
        guard isWatching else { return false }
        if highest.isEmpty {
            countLeft -= 1
            isWatching = countLeft > 0
            return true
        }
        let places = Self.places(id)
        // An event without a place of its own came with the one before.
        let moved = places.filter { previous[$0.key] != $0.value }
        for (name, place) in moved where isPassed(name, place, marginMilliseconds) {
            ahead.remove(name)
            hasPassed = true
        }
        if !moved.isEmpty { wasRepeat = moved.contains { ahead.contains($0.key) } }
        previous = places
        if hasPassed { eventsSincePassed += 1 }
        isWatching = !ahead.isEmpty && eventsSincePassed < Self.idleEvents
        return wasRepeat
    }

    private func isPassed(_ name: String, _ place: Place, _ margin: Int64) -> Bool {
        switch (highest[name], place) {
        case (.offset(let old)?, .offset(let new)): new > old
        case (.time(let old)?, .time(let new)): new > old + margin
        // Cannot be compared.
        default: false
        }
    }

    /// The positions of an id of Wikimedia's form: a JSON array of objects with `topic`, `partition`, and `offset` or
    /// `timestamp`. None for other forms.
    private static func places(_ id: [UInt8]) -> [String: Place] {
        guard id.first == UInt8(ascii: "["), let members = (try? JSONValue.parse(id))?.array else { return [:] }
        var places: [String: Place] = [:]
        for member in members {
            guard let topic = member["topic"]?.string else { continue }
            let name = "\(topic)/\(member["partition"]?.integer ?? 0)"
            if let offset = member["offset"]?.integer, offset >= 0 {
                places[name] = .offset(offset)
            } else if let time = member["timestamp"]?.integer, time >= 0 {
                places[name] = .time(min(time, .max / 2))
            }
        }
        return places
    }
}

/// The ids of the last events, for sources whose ids do not name all their positions each time.
struct RecentIDs {
    private static let count = 128
    private(set) var ids: [[UInt8]] = []
    private var next = 0

    mutating func add(_ id: [UInt8]) {
        if ids.count < Self.count {
            ids.append(id)
        } else {
            ids[next] = id
            next = (next + 1) % Self.count
        }
    }
}
