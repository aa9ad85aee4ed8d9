import Retrieval

/// How many rows one search reads at most, whatever its filter and however large the index is.
package struct SearchBounds: Sendable, Hashable {
    /// Passages that are all read where a filter leaves no more (10 µs each); beyond, the graph is asked first.
    package var narrow = 9_000
    /// Passages that are all read where the graph led to too few, or an exact answer is wanted.
    package var wide = 100_000
    /// Documents that are counted.
    package var counted = SearchLimits.countedMax
    /// Postings that are read to count documents, the newest ones.
    package var countedRows = 100_000
    /// Documents that are looked at whether they are seen and pass, to be counted.
    package var lookedAt = 30_000

    package init() {}

    /// For a second look, where the first one found too few.
    var widened: SearchBounds {
        var bounds = self
        bounds.narrow = wide
        return bounds
    }

    /// Part of the names of statements; nil for the usual bounds.
    var name: String? {
        self == SearchBounds() ? nil : "\(narrow)_\(wide)_\(counted)_\(countedRows)_\(lookedAt)"
    }
}
