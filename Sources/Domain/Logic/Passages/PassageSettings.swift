/// How texts are cut into passages; a part of the logic, and so of its version.
package struct PassageSettings: Sendable, Equatable {
    /// The most that a passage weighs. A character weighs 1 and a Latin letter 0.5, so that what weighs no more than
    /// ``weightBound`` fits the 256 tokens that the embedding model reads; see ``PassageWeight``.
    package var weightMax: Int
    /// The most of a passage's end that the next one begins with, by weight: whole sentences, else whole words.
    package var overlap: Int

    /// The largest ``weightMax``.
    package static let weightBound = 240
    /// The smallest: a long word still has room.
    package static let weightFloor = 40

    /// A fifth of the passage overlaps, as the 200 of 1,000 characters that people know.
    package init(weightMax: Int = PassageSettings.weightBound, overlap: Int? = nil) {
        self.weightMax = min(max(weightMax, Self.weightFloor), Self.weightBound)
        self.overlap = min(max(overlap ?? self.weightMax / 5, 0), Self.overlapMax(self.weightMax))
    }

    /// The largest overlap: half, so that every passage brings something new.
    package static func overlapMax(_ weightMax: Int) -> Int { weightMax / 2 }
}
