/// Bounds on what consumer groups may hold.
struct GroupLimits: Sendable {
    /// What a member may ask for as its session's length, in milliseconds.
    var sessionMilliseconds: ClosedRange<Int64> = 1_000...1_800_000
    var groupsMax = 10_000
    /// Members of one group, with those who were given an id and have not come back.
    var membersMax = 1_000
    /// Memory of all groups with members together: ids, protocol metadata, assignments.
    var bytesMax = 64 << 20
    /// Groups that may have committed offsets.
    var groupsWithOffsetsMax = 100_000
    /// Bytes of all committed offsets in a journal without anything outdated; in memory they take about twice that.
    var offsetBytesMax = 128 << 20
    /// How long an empty group waits for more members than the first, in milliseconds: several consumers that start
    /// together then share one rebalance.
    var initialDelayMilliseconds: Int64 = 200
}

/// All groups with members. They live in memory only: after a restart members are unknown, join again, and go on from
/// the committed offsets, which are on disk.
struct GroupCoordinator: Sendable {
    let limits: GroupLimits
    private(set) var groups: [String: ConsumerGroup] = [:]
    /// See ``GroupLimits/bytesMax``.
    private(set) var byteCount = 0

    init(limits: GroupLimits) {
        self.limits = limits
    }

    /// Group ids are free text, but not endless.
    static func isValidID(_ id: String) -> Bool { (1...1_000).contains(id.utf8.count) }

    /// A random id that begins with what an operator can recognise.
    static func newMemberID(_ prefix: String) -> String {
        let random = TopicID.random()
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        var start = ""
        // In bytes: one character may have any number of them.
        for scalar in prefix.unicodeScalars {
            guard start.utf8.count + UTF8.width(scalar) <= prefixBytesMax else { break }
            start.unicodeScalars.append(scalar)
        }
        return "\(start)-\(hex(random.high))\(hex(random.low))"
    }

    private static let prefixBytesMax = 100
    /// Bytes of the longest id that ``newMemberID(_:)`` makes.
    static let newMemberIDBytesMax = prefixBytesMax + 33

    /// Why a join cannot even be looked at; nil when it can.
    mutating func refusal(of join: GroupJoin, group id: String) -> ErrorCode? {
        guard Self.isValidID(id) else { return .invalidGroupID }
        guard limits.sessionMilliseconds.contains(join.sessionMilliseconds) else { return .invalidSessionTimeout }
        let size = join.byteCount
        if byteCount + size > limits.bytesMax { forgetEmptyGroups() }
        guard byteCount + size <= limits.bytesMax else { return .groupMaxSizeReached }
        if let group = groups[id] {
            let isKnown = group.members[join.memberID] != nil || group.pendingMembers[join.memberID] != nil
            let replaces = join.instanceID.map { group.staticMembers[$0] != nil } ?? false
            let count = group.members.count + group.pendingMembers.count
            return isKnown || replaces || count < limits.membersMax ? nil : .groupMaxSizeReached
        }
        if groups.count >= limits.groupsMax { forgetEmptyGroups() }
        return groups.count < limits.groupsMax ? nil : .groupMaxSizeReached
    }

    /// Runs `body` on a group, which is made if need be.
    mutating func with<Result>(_ id: String, _ body: (inout ConsumerGroup) -> Result) -> Result {
        let known = groups.removeValue(forKey: id)
        byteCount -= known?.byteCount ?? 0
        var group = known ?? ConsumerGroup(id: id)
        let result = body(&group)
        byteCount += group.byteCount
        groups[id] = group
        return result
    }

    /// Runs `body` on a group that is there; nil when it is not.
    mutating func withKnown<Result>(_ id: String, _ body: (inout ConsumerGroup) -> Result) -> Result? {
        groups[id] == nil ? nil : with(id, body)
    }

    mutating func forget(_ id: String) {
        guard let group = groups.removeValue(forKey: id) else { return }
        byteCount -= group.byteCount
    }

    private mutating func forgetEmptyGroups() {
        for group in groups.values where group.isEmpty { forget(group.id) }
    }

    var memberCount: Int { groups.values.reduce(0) { $0 + $1.members.count } }
}
