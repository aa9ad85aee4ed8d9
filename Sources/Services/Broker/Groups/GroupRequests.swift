/// What members ask of a group.
extension ConsumerGroup {
    // MARK: Join

    /// A member joins, or joins again; the answer comes through ``replies``, at once or when all others have joined.
    ///
    /// - Parameters:
    ///   - newID: the id to give to a member that has none.
    ///   - initialDelay: how long an empty group waits for more members than the first, in milliseconds.
    mutating func join(
        _ join: GroupJoin, newID: String, token: GroupRequestToken, initialDelay: Int64, now: Int64
    ) {
        func refuse(_ error: ErrorCode, memberID: String? = nil) {
            reply(token, .join(JoinOutcome(error: error, memberID: memberID ?? join.memberID)))
        }
        // Who replaces a static member does not have to agree with the one replaced.
        let own = join.memberID.isEmpty ? join.instanceID.flatMap { staticMembers[$0] } : join.memberID
        guard isJoinable(join, own) else { return refuse(.inconsistentGroupProtocol) }
        if join.memberID.isEmpty {
            if let instance = join.instanceID, let old = staticMembers[instance].flatMap({ members[$0] }) {
                return replace(old, by: join, newID, token, now: now)
            }
            if join.instanceID == nil, join.mustJoinTwice {
                pendingMembers[newID] = now + join.sessionMilliseconds
                return refuse(.memberIDRequired, memberID: newID)
            }
            return add(join, newID, token, initialDelay: initialDelay, now: now)
        }
        if join.instanceID == nil, pendingMembers.removeValue(forKey: join.memberID) != nil {
            return add(join, join.memberID, token, initialDelay: initialDelay, now: now)
        }
        if let code = refusal(of: join.memberID, join.instanceID) { return refuse(code) }
        rejoin(join, token, now: now)
    }

    private func isJoinable(_ join: GroupJoin, _ memberID: String?) -> Bool {
        guard !join.protocolType.isEmpty, let first = join.protocols.first, !first.name.isEmpty else { return false }
        guard let common = commonProtocols(excluding: memberID) else { return true }
        return join.protocolType == protocolType && join.protocols.contains { common.contains($0.name) }
    }

    private mutating func add(
        _ join: GroupJoin, _ memberID: String, _ token: GroupRequestToken, initialDelay: Int64, now: Int64
    ) {
        members[memberID] = GroupMember(
            id: memberID, number: takeNumber(), instanceID: join.instanceID, clientID: join.clientID,
            clientHost: join.clientHost, sessionMilliseconds: join.sessionMilliseconds,
            rebalanceMilliseconds: join.rebalanceMilliseconds, protocols: join.protocols, joining: token,
            deadline: now + join.sessionMilliseconds)
        if let instance = join.instanceID { staticMembers[instance] = memberID }
        protocolType = join.protocolType
        if leader == nil { leader = memberID }
        // Each newcomer prolongs the first delay, but not beyond the time for a rebalance.
        if initialDelayEnd != nil { initialDelayEnd = min(now + initialDelay, phaseDeadline) }
        rebalance(initialDelay: initialDelay, now: now)
    }

    private mutating func update(_ memberID: String, _ join: GroupJoin, _ token: GroupRequestToken?, now: Int64) {
        let old = members[memberID]?.joining
        if old != token { reply(old, .join(JoinOutcome(error: .rebalanceInProgress, memberID: memberID))) }
        members[memberID]?.joining = token
        members[memberID]?.clientID = join.clientID
        members[memberID]?.clientHost = join.clientHost
        members[memberID]?.protocols = join.protocols
        members[memberID]?.sessionMilliseconds = join.sessionMilliseconds
        members[memberID]?.rebalanceMilliseconds = join.rebalanceMilliseconds
        members[memberID]?.deadline = now + join.sessionMilliseconds
        protocolType = join.protocolType
    }

    private mutating func rejoin(_ join: GroupJoin, _ token: GroupRequestToken, now: Int64) {
        guard let member = members[join.memberID] else { return }
        let isUnchanged = member.protocols == join.protocols
        switch state {
        case .completing where isUnchanged:
            // It may have missed the answer: the generation is still its own.
            update(member.id, join, nil, now: now)
            reply(token, .join(joined(member.id, withMembers: member.id == leader)))
        case .stable where isUnchanged && member.id != leader:
            update(member.id, join, nil, now: now)
            reply(token, .join(joined(member.id, withMembers: false)))
        case .preparing, .completing, .stable, .empty, .dead:
            update(member.id, join, token, now: now)
            rebalance(initialDelay: 0, now: now)
        }
    }

    /// A static member comes back with a new id: the old one is fenced, and while the group is stable nobody else
    /// notices.
    private mutating func replace(
        _ old: GroupMember, by join: GroupJoin, _ newID: String, _ token: GroupRequestToken, now: Int64
    ) {
        let wasLeader = leader == old.id
        drop(old, error: .fencedInstanceID)
        members[newID] = GroupMember(
            id: newID, number: old.number, instanceID: join.instanceID, clientID: join.clientID,
            clientHost: join.clientHost, sessionMilliseconds: join.sessionMilliseconds,
            rebalanceMilliseconds: join.rebalanceMilliseconds, protocols: join.protocols, assignment: old.assignment,
            hasSynced: old.hasSynced, deadline: now + join.sessionMilliseconds)
        if let instance = join.instanceID { staticMembers[instance] = newID }
        if wasLeader || leader == nil { leader = newID }
        guard state == .stable, selectProtocol() == protocolName else {
            members[newID]?.joining = token
            return rebalance(initialDelay: 0, now: now)
        }
        var outcome = joined(newID, withMembers: wasLeader && join.knowsSkippedAssignment)
        if wasLeader {
            // A client that does not know of skipped assignments takes itself for a follower.
            outcome.skipsAssignment = join.knowsSkippedAssignment
            if !join.knowsSkippedAssignment { outcome.leader = old.id }
        }
        reply(token, .join(outcome))
    }

    // MARK: Sync

    /// A member of the present generation asks for its assignment; the leader brings them all.
    mutating func sync(_ request: SyncGroupRequest, token: GroupRequestToken, now: Int64) {
        func refuse(_ error: ErrorCode) { reply(token, .sync(SyncOutcome(error: error))) }
        if let code = refusal(of: request.memberID, request.instanceID) { return refuse(code) }
        guard request.generation == generation else { return refuse(.illegalGeneration) }
        if let type = request.protocolType, type != protocolType { return refuse(.inconsistentGroupProtocol) }
        if let name = request.protocolName, name != protocolName { return refuse(.inconsistentGroupProtocol) }
        hear(request.memberID, now: now)
        switch state {
        case .empty, .dead: refuse(.unknownMemberID)
        case .preparing: refuse(.rebalanceInProgress)
        case .completing:
            let old = members[request.memberID]?.syncing
            reply(old, .sync(SyncOutcome(error: .rebalanceInProgress)))
            members[request.memberID]?.syncing = token
            members[request.memberID]?.hasSynced = true
            if request.memberID == leader { assign(request.assignments, now: now) }
        case .stable:
            members[request.memberID]?.hasSynced = true
            reply(token, .sync(synced(request.memberID)))
        }
    }

    private mutating func assign(_ assignments: [(memberID: String, assignment: [UInt8])], now: Int64) {
        for (memberID, assignment) in assignments { members[memberID]?.assignment = assignment }
        state = .stable
        phaseDeadline = .max
        for member in orderedMembers {
            guard let token = member.syncing else { continue }
            members[member.id]?.syncing = nil
            members[member.id]?.deadline = now + member.sessionMilliseconds
            reply(token, .sync(synced(member.id)))
        }
    }

    private func synced(_ memberID: String) -> SyncOutcome {
        SyncOutcome(
            protocolType: protocolType, protocolName: protocolName, assignment: members[memberID]?.assignment ?? [])
    }

    // MARK: Heartbeat, leave, commit

    private mutating func hear(_ memberID: String, now: Int64) {
        guard let session = members[memberID]?.sessionMilliseconds else { return }
        members[memberID]?.deadline = now + session
    }

    mutating func heartbeat(_ request: HeartbeatRequest, now: Int64) -> ErrorCode {
        if let code = refusal(of: request.memberID, request.instanceID) { return code }
        guard request.generation == generation else { return .illegalGeneration }
        hear(request.memberID, now: now)
        return state == .preparing ? .rebalanceInProgress : .none
    }

    /// - Parameter memberID: may be empty where an instance id is given, as administrators do it.
    mutating func leave(_ memberID: String, _ instanceID: String?, now: Int64) -> ErrorCode {
        var memberID = memberID
        if memberID.isEmpty, let holder = instanceID.flatMap({ staticMembers[$0] }) { memberID = holder }
        if instanceID == nil, pendingMembers.removeValue(forKey: memberID) != nil {
            completeJoinIfAllAreHere(now: now)
            return .none
        }
        if let code = refusal(of: memberID, instanceID) { return code }
        if let member = members[memberID] { remove(member, now: now) }
        return .none
    }

    /// Whether offsets may be committed; a member's commit is a sign of life.
    mutating func checkCommit(
        generation: Int32, memberID: String, instanceID: String?, now: Int64
    ) -> ErrorCode {
        if generation < 0, memberID.isEmpty, instanceID == nil {
            // Whoever assigns topic partitions to himself, or an administrator; not beside members.
            return members.isEmpty ? .none : .unknownMemberID
        }
        if let code = refusal(of: memberID, instanceID) { return code }
        guard generation == self.generation else { return .illegalGeneration }
        hear(memberID, now: now)
        return state == .completing ? .rebalanceInProgress : .none
    }
}
