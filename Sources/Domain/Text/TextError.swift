/// A failure of ICU or libstemmer, which both fail only where memory or their data are missing.
package struct TextError: Error, CustomStringConvertible {
    /// What was being done: `open the word boundaries` …
    package let operation: String
    /// The library's own words.
    package let reason: String

    package var description: String { "could not \(operation): \(reason)" }
}
