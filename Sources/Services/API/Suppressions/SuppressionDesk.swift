package import Records
package import Store

/// What the API needs for suppressing: the topic to which they go, and the index that says what has become of them. All of it blocks.
package struct SuppressionDesk: Sendable {
    /// Hands an entry to the topic, and returns once it is acknowledged.
    package var publish: @Sendable (_ entry: SuppressionEntry, _ timeoutMilliseconds: Int) throws -> Void
    /// A tenant's suppressions below a number, the newest first.
    package var list:
        @Sendable (
            _ tenant: TenantID, _ before: Int64, _ limit: Int, _ timeoutMilliseconds: Int
        ) throws -> [SuppressionRecord]
    /// A tenant's suppression of an id, once the index applies it.
    package var find:
        @Sendable (_ id: String, _ tenant: TenantID, _ timeoutMilliseconds: Int) throws -> SuppressionRecord?
    /// Whether the index has read the topic to its end: what it does not know then is not there.
    package var isCaughtUp: @Sendable (_ timeoutMilliseconds: Int) throws -> Bool

    /// Memberwise.
    package init(
        publish: @escaping @Sendable (SuppressionEntry, Int) throws -> Void,
        list: @escaping @Sendable (TenantID, Int64, Int, Int) throws -> [SuppressionRecord],
        find: @escaping @Sendable (String, TenantID, Int) throws -> SuppressionRecord?,
        isCaughtUp: @escaping @Sendable (Int) throws -> Bool = { _ in false }
    ) {
        self.publish = publish
        self.list = list
        self.find = find
        self.isCaughtUp = isCaughtUp
    }
}
