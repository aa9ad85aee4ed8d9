/// What has become of a generation. The lake's list and the database say it in the same words.
package enum GenerationState: String, Sendable, CaseIterable {
    /// A replay makes it, or was killed before it was done.
    case created
    /// Complete, and the stream job keeps it so: it may become the active one.
    case candidate
    /// The one that is served.
    case active
    /// It was active before, and is still kept complete.
    case previous
    /// Given up for good: no longer fed, and never anything else again.
    case pruned

    /// Whether the stream job writes it.
    package var isFed: Bool { self != .pruned }

    /// Whether all its documents are there.
    package var isComplete: Bool { self == .candidate || self == .active || self == .previous }

    /// Whether one step leads from this state to another. What is pruned stays so, and what is active is not pruned.
    package func mayBecome(_ next: GenerationState) -> Bool {
        switch (self, next) {
        case (.created, .candidate), (.created, .pruned), (.candidate, .active), (.candidate, .pruned),
            (.active, .previous), (.previous, .active), (.previous, .pruned):
            true
        default: self == next
        }
    }
}
