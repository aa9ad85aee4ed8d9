/// The statements that one session has prepared, by name. Each keeps its plan in the server's process, so there are only so many: the
/// one whose last use is longest ago makes room.
struct PreparedStatements {
    /// More than any part of the program has, but for searches, whose statements differ by what is asked.
    static let countMax = 64

    private var lastUses: [String: UInt64] = [:]
    private var uses: UInt64 = 0

    var count: Int { lastUses.count }

    func contains(_ name: String) -> Bool { lastUses[name] != nil }

    mutating func noteUse(of name: String) {
        uses += 1
        lastUses[name] = uses
    }

    mutating func remove(_ name: String) { lastUses[name] = nil }

    /// Those that have to go before a batch of these statements is sent; none of its own are among them.
    func superfluous(before names: Set<String>) -> [String] {
        let excess = count + names.count { !contains($0) } - Self.countMax
        guard excess > 0 else { return [] }
        return lastUses.filter { !names.contains($0.key) }.sorted { $0.value < $1.value }.prefix(excess).map(\.key)
    }
}
