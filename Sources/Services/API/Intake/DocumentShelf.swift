package import Sources
package import Store

/// What the API needs to read documents by their ids.
package struct DocumentShelf: Sendable {
    /// All declared sources.
    package var sources: @Sendable () -> [SourceDeclaration]
    /// Opens one more connection to the index; called on the lane that will own it.
    package var makeStore: @Sendable () throws -> SearchStore

    /// Memberwise.
    package init(
        sources: @escaping @Sendable () -> [SourceDeclaration], makeStore: @escaping @Sendable () throws -> SearchStore
    ) {
        self.sources = sources
        self.makeStore = makeStore
    }
}
