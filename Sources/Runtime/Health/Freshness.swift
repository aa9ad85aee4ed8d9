import Bytes

/// Whether what the index serves is what the source topic holds.
///
/// One value for everyone who says so: replies, `/ready`, `/health`, `/pipeline/status`, the page and the alerts. Nobody
/// else computes it.
package struct Freshness: Sendable, Equatable {
    /// The states, from good to bad; ``FreshnessFacts/judge(by:)`` has the rules.
    package enum State: String, Sendable, CaseIterable {
        /// All that the topic holds is searchable, or has waited for no more than a moment. An idle source is fresh.
        case fresh
        /// Events have waited for longer than they should, or nothing new can arrive.
        case late
        /// Events have waited too long, or too many of them wait.
        case stale
        /// Nobody knows how many events wait.
        case unknown
    }

    /// The state.
    package var state: State
    /// Why it is not fresh, in words and numbers of this program alone, so that it may be shown to strangers; empty when
    /// it is.
    package var reason: String
    /// Source offsets that the active generation's index has not reached; nil where unknown.
    package var eventsBehind: Int64?
    /// How long the oldest of them has waited, in milliseconds, counted from when this process first saw it; nil where
    /// unknown.
    package var waitMilliseconds: Int64?
    /// When the indexer last brought the active generation forward, in milliseconds since 1970; nil when it never did, or
    /// where that was never known.
    package var indexedAtMilliseconds: Int64?
    /// The active generation and the newest index version, as of the last look; nil before it.
    package var generation: Int64?
    package var indexVersion: Int64?

    /// Memberwise; what is not known stays nil.
    package init(
        _ state: State, reason: String = "", eventsBehind: Int64? = nil, waitMilliseconds: Int64? = nil,
        indexedAtMilliseconds: Int64? = nil, generation: Int64? = nil, indexVersion: Int64? = nil
    ) {
        self.state = state
        self.reason = reason
        self.eventsBehind = eventsBehind
        self.waitMilliseconds = waitMilliseconds
        self.indexedAtMilliseconds = indexedAtMilliseconds
        self.generation = generation
        self.indexVersion = indexVersion
    }

    /// Of a process in which nobody looks.
    package static let notLookedAt = Freshness(.unknown, reason: "nobody has looked yet")

    /// Why a process that serves the index should not be asked; nil when it may be. Where any lag is allowed
    /// (`READY_MAX_LAG=0`), it always may.
    package func objection(_ limits: FreshnessLimits) -> String? {
        guard limits.eventsBehindMax > 0 else { return nil }
        return switch state {
        case .fresh, .late: nil
        case .stale: reason
        case .unknown: "it is not known how far the index is behind: \(reason)"
        }
    }
}

/// When the index counts as late, stale or unknown.
package struct FreshnessLimits: Sendable, Equatable {
    /// Events that may wait (`READY_MAX_LAG`); 0 for any number.
    package var eventsBehindMax: Int64
    /// An event that has waited for longer makes the index late (`FRESH_LATE_SEC`).
    package var lateMilliseconds: Int64
    /// An event that has waited for longer makes the index stale (`FRESH_STALE_SEC`).
    package var staleMilliseconds: Int64
    /// When broker or database have not answered for longer, nothing is known any more (`FRESH_UNKNOWN_SEC`).
    package var unknownMilliseconds: Int64
    /// A source that has been silent for longer makes the index late (`FRESH_SILENT_SEC`); 0 where it may be idle.
    package var silentMilliseconds: Int64

    /// The settings' defaults.
    package init(
        eventsBehindMax: Int64 = 10_000, lateMilliseconds: Int64 = 5_000, staleMilliseconds: Int64 = 60_000,
        unknownMilliseconds: Int64 = 10_000, silentMilliseconds: Int64 = 0
    ) {
        self.eventsBehindMax = eventsBehindMax
        self.lateMilliseconds = lateMilliseconds
        self.staleMilliseconds = staleMilliseconds
        self.unknownMilliseconds = unknownMilliseconds
        self.silentMilliseconds = silentMilliseconds
    }
}

/// What is known of the source, by the process that reads it.
package struct SourceFacts: Sendable, Equatable {
    /// How long there has been no connection to it, in milliseconds; nil while there is one, or where that is not known.
    package var disconnectedMilliseconds: Int64?
    /// How long nothing has come from it, in milliseconds; nil where that is not known.
    package var silentMilliseconds: Int64?

    /// Nothing is known unless given.
    package init(disconnectedMilliseconds: Int64? = nil, silentMilliseconds: Int64? = nil) {
        self.disconnectedMilliseconds = disconnectedMilliseconds
        self.silentMilliseconds = silentMilliseconds
    }
}

/// What the state follows from, at one moment.
package struct FreshnessFacts: Sendable, Equatable {
    /// Time since broker and database last answered, in milliseconds; nil when they never did.
    package var lookAgeMilliseconds: Int64?
    /// Why their answers do not fit together; nil where they do.
    package var contradiction: String?
    /// Events that wait.
    package var eventsBehind: Int64
    /// How long the oldest has waited, in milliseconds.
    package var waitMilliseconds: Int64
    /// Of the source.
    package var source: SourceFacts

    /// Memberwise.
    package init(
        lookAgeMilliseconds: Int64?, contradiction: String? = nil, eventsBehind: Int64 = 0,
        waitMilliseconds: Int64 = 0, source: SourceFacts = SourceFacts()
    ) {
        self.lookAgeMilliseconds = lookAgeMilliseconds
        self.contradiction = contradiction
        self.eventsBehind = eventsBehind
        self.waitMilliseconds = waitMilliseconds
        self.source = source
    }

    /// The first rule that holds decides. There is no memory in it: every state follows from the facts of the moment, so
    /// each can follow on each.
    ///
    /// | if | then |
    /// | --- | --- |
    /// | broker or database have never answered, or not for long | unknown |
    /// | their answers contradict each other | unknown |
    /// | more events wait than may | stale |
    /// | the oldest has waited beyond the second limit | stale |
    /// | the oldest has waited beyond the first limit | late |
    /// | the source has been disconnected beyond the first limit | late |
    /// | the source has been silent beyond its limit, where it has one | late |
    /// | none of these, such as an idle source with nothing waiting | fresh |
    package func judge(by limits: FreshnessLimits) -> (state: Freshness.State, reason: String) {
        guard let age = lookAgeMilliseconds else {
            return (.unknown, "broker or database have not answered yet")
        }
        guard age <= limits.unknownMilliseconds else {
            return (.unknown, "broker or database have not answered for \(age / 1_000) s")
        }
        if let contradiction { return (.unknown, contradiction) }
        if limits.eventsBehindMax > 0, eventsBehind > limits.eventsBehindMax {
            return (
                .stale,
                "the index is \(eventsBehind) events behind, more than \(limits.eventsBehindMax) (READY_MAX_LAG)"
            )
        }
        if eventsBehind > 0, waitMilliseconds > limits.lateMilliseconds {
            let words =
                "the index is \(eventsBehind) events behind; the oldest has waited for \(waitMilliseconds / 1_000) s"
            return (waitMilliseconds > limits.staleMilliseconds ? .stale : .late, words)
        }
        if let away = source.disconnectedMilliseconds, away > limits.lateMilliseconds {
            return (.late, "the source has not been connected for \(away / 1_000) s, so nothing new arrives")
        }
        if limits.silentMilliseconds > 0, let silence = source.silentMilliseconds, silence > limits.silentMilliseconds {
            return (.late, "nothing has come from the source for \(silence / 1_000) s")
        }
        return (.fresh, "")
    }
}
