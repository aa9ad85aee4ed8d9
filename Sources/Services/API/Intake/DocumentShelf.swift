package import Records
package import Sources
package import Store

/// What the API needs to read documents by their ids. All of it blocks, but for what is declared.
package struct DocumentShelf: Sendable {
    /// All declared sources.
    package var sources: @Sendable () -> [SourceDeclaration]
    /// A page of a collection's documents behind an id.
    package var list:
        @Sendable (
            _ tenant: TenantID, _ collection: String, _ after: String, _ limit: Int, _ timeoutMilliseconds: Int
        ) throws -> DocumentPage
    /// A document, where the index shows it.
    package var find:
        @Sendable (
            _ tenant: TenantID, _ collection: String, _ id: String, _ timeoutMilliseconds: Int
        ) throws -> ShownDocument?
    /// How much there is of each collection.
    package var sizes: @Sendable (_ tenant: TenantID, _ timeoutMilliseconds: Int) throws -> [CollectionSize]

    /// Memberwise.
    package init(
        sources: @escaping @Sendable () -> [SourceDeclaration],
        list: @escaping @Sendable (TenantID, String, String, Int, Int) throws -> DocumentPage,
        find: @escaping @Sendable (TenantID, String, String, Int) throws -> ShownDocument?,
        sizes: @escaping @Sendable (TenantID, Int) throws -> [CollectionSize]
    ) {
        self.sources = sources
        self.list = list
        self.find = find
        self.sizes = sizes
    }
}
