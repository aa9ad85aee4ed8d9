/// The state machine of one consumer group, as Kafka's group coordinator has it for its "classic" groups.
///
/// A pure value: events come with the time, answers gather in ``replies``, and nothing happens by itself but in
/// ``expire(now:)``. All times are monotonic milliseconds.
struct ConsumerGroup: Sendable {
    enum State: String, Sendable {
        /// No members; offsets may be there.
        case empty = "Empty"
        /// Waits for all members to join again.
        case preparing = "PreparingRebalance"
        /// Waits for the leader's assignment.
        case completing = "CompletingRebalance"
        case stable = "Stable"
        /// No such group.
        case dead = "Dead"
    }

    let id: String
    var state = State.empty
    var generation: Int32 = 0
    var protocolType: String?
    var protocolName: String?
    var leader: String?
    var members: [String: GroupMember] = [:]
    /// Member ids by instance id.
    var staticMembers: [String: String] = [:]
    /// Ids given out to members that have not come back with them yet, with the time when they are forgotten.
    var pendingMembers: [String: Int64] = [:]
    /// Answers to be sent; the owner takes them after each event.
    var replies: [(token: GroupRequestToken, reply: GroupReply)] = []
    /// Rebalances begun, for the metrics.
    var rebalances = 0
    /// The end of the present phase: joins (preparing) or assignments (completing) that have not come by then are not
    /// waited for.
    var phaseDeadline = Int64.max
    /// While a group that was empty waits for more members than the first.
    var initialDelayEnd: Int64?
    private var nextNumber = 0

    init(id: String) {
        self.id = id
    }

    var isEmpty: Bool { members.isEmpty && pendingMembers.isEmpty }

    /// In the order of joining.
    var orderedMembers: [GroupMember] { members.values.sorted { $0.number < $1.number } }

    /// What the group keeps in memory, about.
    var byteCount: Int {
        let own = 512 + id.utf8.count + (protocolType?.utf8.count ?? 0) + (protocolName?.utf8.count ?? 0)
        let pending = pendingMembers.keys.reduce(0) { $0 + 128 + $1.utf8.count }
        return members.values.reduce(own + pending) { $0 + $1.byteCount }
    }

    mutating func takeNumber() -> Int {
        defer { nextNumber += 1 }
        return nextNumber
    }

    mutating func reply(_ token: GroupRequestToken?, _ reply: GroupReply) {
        if let token { replies.append((token, reply)) }
    }

    // MARK: Rebalances

    /// Begins a rebalance, or looks whether the present one is complete now.
    mutating func rebalance(initialDelay: Int64, now: Int64) {
        switch state {
        case .preparing: break
        case .empty, .dead, .completing, .stable:
            dropAssignments(now: now)
            initialDelayEnd = state == .empty && initialDelay > 0 ? now + initialDelay : nil
            state = .preparing
            rebalances += 1
            phaseDeadline = now + rebalanceMilliseconds
        }
        completeJoinIfAllAreHere(now: now)
    }

    private var rebalanceMilliseconds: Int64 { members.values.map(\.rebalanceMilliseconds).max() ?? 0 }

    private mutating func dropAssignments(now: Int64) {
        for member in members.values {
            members[member.id]?.assignment = []
            guard let token = member.syncing else { continue }
            members[member.id]?.syncing = nil
            // Nothing more could be heard of it while it waited.
            members[member.id]?.deadline = now + member.sessionMilliseconds
            reply(token, .sync(SyncOutcome(error: .rebalanceInProgress)))
        }
    }

    mutating func completeJoinIfAllAreHere(now: Int64) {
        guard state == .preparing else { return }
        if let end = initialDelayEnd, now < end, !members.isEmpty { return }
        if pendingMembers.isEmpty, members.values.allSatisfy({ $0.joining != nil }) { completeJoin(now: now) }
    }

    /// Ends the joining phase with those who are here. A static member that is not keeps its place for as long as its
    /// session lasts.
    mutating func completeJoin(now: Int64) {
        initialDelayEnd = nil
        for member in members.values where member.joining == nil && member.instanceID == nil { drop(member) }
        guard !members.isEmpty else {
            advanceGeneration()
            state = .empty
            protocolName = nil
            leader = nil
            phaseDeadline = .max
            return
        }
        let present = orderedMembers.filter { $0.joining != nil }
        guard let first = present.first else {
            phaseDeadline = now + rebalanceMilliseconds
            return
        }
        advanceGeneration()
        if leader.flatMap({ members[$0]?.joining }) == nil { leader = first.id }
        protocolName = selectProtocol()
        state = .completing
        phaseDeadline = now + rebalanceMilliseconds
        let all = orderedMembers
        for member in all {
            guard let token = member.joining else {
                members[member.id]?.hasSynced = true
                continue
            }
            members[member.id]?.joining = nil
            members[member.id]?.hasSynced = false
            members[member.id]?.deadline = now + member.sessionMilliseconds
            reply(token, .join(joined(member.id, withMembers: member.id == leader)))
        }
    }

    private mutating func advanceGeneration() {
        generation = generation == Int32.max ? 1 : generation + 1
    }

    /// What a member of the present generation is told.
    func joined(_ memberID: String, withMembers: Bool) -> JoinOutcome {
        var outcome = JoinOutcome(
            generation: generation, protocolType: protocolType, protocolName: protocolName, leader: leader ?? "",
            memberID: memberID)
        if withMembers {
            outcome.members = orderedMembers.map {
                JoinOutcome.Member(
                    id: $0.id, instanceID: $0.instanceID, metadata: $0.metadata(of: protocolName))
            }
        }
        return outcome
    }

    // MARK: Protocols

    /// The names that all members but `excluded` can take part in; nil where there is no other member.
    func commonProtocols(excluding excluded: String? = nil) -> Set<String>? {
        var common: Set<String>?
        for member in members.values where member.id != excluded {
            let names = Set(member.protocols.map(\.name))
            common = common?.intersection(names) ?? names
        }
        return common
    }

    /// Each member votes for the first of its protocols that all have.
    func selectProtocol() -> String? {
        let candidates = commonProtocols() ?? []
        var votes: [String: Int] = [:]
        for member in members.values {
            if let vote = member.protocols.first(where: { candidates.contains($0.name) })?.name {
                votes[vote, default: 0] += 1
            }
        }
        return votes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }

    // MARK: Members

    /// Takes a member out without a rebalance; whatever it waits for is answered.
    mutating func drop(_ member: GroupMember, error: ErrorCode = .unknownMemberID) {
        members[member.id] = nil
        if let instance = member.instanceID, staticMembers[instance] == member.id { staticMembers[instance] = nil }
        if leader == member.id { leader = orderedMembers.first?.id }
        reply(member.joining, .join(JoinOutcome(error: error, memberID: member.id)))
        reply(member.syncing, .sync(SyncOutcome(error: error)))
    }

    /// Takes a member out; the others divide its topic partitions.
    mutating func remove(_ member: GroupMember, now: Int64) {
        drop(member)
        if state == .stable || state == .completing {
            rebalance(initialDelay: 0, now: now)
        } else {
            completeJoinIfAllAreHere(now: now)
        }
    }

    /// Whether a request comes from a member, and from the one that holds its instance id; nil when it does.
    func refusal(of memberID: String, _ instanceID: String?) -> ErrorCode? {
        if let instanceID {
            guard let holder = staticMembers[instanceID] else { return .unknownMemberID }
            if holder != memberID { return .fencedInstanceID }
        }
        return members[memberID] == nil ? .unknownMemberID : nil
    }

    // MARK: Time

    /// Does what the time demands: forgets members that were not heard of, ends phases that lasted too long.
    mutating func expire(now: Int64) {
        for (id, deadline) in pendingMembers where deadline <= now { pendingMembers[id] = nil }
        for member in members.values.sorted(by: { $0.number < $1.number })
        where member.deadline <= now && member.joining == nil && member.syncing == nil {
            if members[member.id] != nil { remove(member, now: now) }
        }
        switch state {
        case .preparing where now >= phaseDeadline: completeJoin(now: now)
        case .preparing: completeJoinIfAllAreHere(now: now)
        case .completing where now >= phaseDeadline:
            let late = orderedMembers.filter { !$0.hasSynced }
            for member in late { drop(member) }
            rebalance(initialDelay: 0, now: now)
        case .completing, .empty, .stable, .dead: break
        }
    }

    var description: GroupDescription {
        GroupDescription(
            id: id, state: state, protocolType: protocolType ?? "",
            protocolName: state == .stable ? protocolName ?? "" : "",
            members: orderedMembers.map { member in
                GroupDescription.Member(
                    id: member.id, instanceID: member.instanceID, clientID: member.clientID,
                    clientHost: member.clientHost,
                    metadata: state == .stable ? member.metadata(of: protocolName) : [],
                    assignment: state == .stable ? member.assignment : [])
            })
    }
}
