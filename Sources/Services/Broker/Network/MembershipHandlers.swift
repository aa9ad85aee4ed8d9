import Bytes
import EventLoop

/// Who waits for the answer of a JoinGroup or SyncGroup.
struct GroupRequest {
    let session: ClientSession
    let slot: Int
    let header: RequestHeader
}

/// Consumer groups: requests of members. All on the loop's thread, like the groups themselves.
extension BrokerLoop {
    private static let tickMilliseconds = 50

    private var now: Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    func joinGroup(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try JoinGroupRequest(&reader, version: header.version)
        let slot = session.reserveSlot(requestBytes: reader.memoryBytes)
        let clientID = header.clientID ?? ""
        let join = GroupJoin(
            memberID: request.memberID, instanceID: request.instanceID, clientID: clientID,
            clientHost: "/" + session.peerHost, sessionMilliseconds: Int64(request.sessionMilliseconds),
            rebalanceMilliseconds: Int64(max(request.rebalanceMilliseconds, 1)), protocolType: request.protocolType,
            protocols: request.protocols, mustJoinTwice: header.version >= 4,
            knowsSkippedAssignment: header.version >= 9)
        if let code = groups.refusal(of: join, group: request.group) {
            return answer(slot, header, session) {
                JoinOutcome(error: code, memberID: request.memberID).encode(&$0, version: header.version)
            }
        }
        let token = hold(GroupRequest(session: session, slot: slot, header: header))
        let newID = GroupCoordinator.newMemberID(request.instanceID ?? (clientID.isEmpty ? "member" : clientID))
        let delay = groups.limits.initialDelayMilliseconds
        change(request.group) { [now] group in
            group.join(join, newID: newID, token: token, initialDelay: delay, now: now)
        }
    }

    func syncGroup(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try SyncGroupRequest(&reader, version: header.version)
        let slot = session.reserveSlot(requestBytes: reader.memoryBytes)
        let size = request.assignments.reduce(0) { $0 + $1.assignment.count }
        var refusal: ErrorCode? = groups.groups[request.group] == nil ? .unknownMemberID : nil
        if groups.byteCount + size > groups.limits.bytesMax { refusal = .groupMaxSizeReached }
        if let refusal {
            return answer(slot, header, session) {
                SyncOutcome(error: refusal).encode(&$0, version: header.version)
            }
        }
        let token = hold(GroupRequest(session: session, slot: slot, header: header))
        change(request.group) { [now] group in group.sync(request, token: token, now: now) }
    }

    func heartbeat(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try HeartbeatRequest(&reader, version: header.version)
        let now = now
        let code = groups.withKnown(request.group) { $0.heartbeat(request, now: now) } ?? .unknownMemberID
        answer(session.reserveSlot(), header, session) {
            HeartbeatResponse.encode(&$0, version: header.version, error: code)
        }
    }

    func leaveGroup(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try LeaveGroupRequest(&reader, version: header.version)
        let slot = session.reserveSlot()
        var response = LeaveGroupResponse(members: [])
        let now = now
        for (memberID, instanceID) in request.members {
            var code = ErrorCode.unknownMemberID
            if groups.groups[request.group] != nil {
                code = change(request.group) { $0.leave(memberID, instanceID, now: now) }
            }
            response.members.append((memberID, instanceID, code))
        }
        answer(slot, header, session) { response.encode(&$0, version: header.version) }
    }

    /// Whether a group lets offsets be committed by whoever asks.
    func checkCommit(_ request: OffsetCommitRequest) -> ErrorCode {
        let now = now
        let code = groups.withKnown(request.group) { group in
            group.checkCommit(
                generation: request.generation, memberID: request.memberID, instanceID: request.instanceID, now: now)
        }
        // A group that is not known (any more) has no members.
        return code ?? (request.generation < 0 && request.memberID.isEmpty ? .none : .unknownMemberID)
    }

    // MARK: Answers and time

    private func hold(_ request: GroupRequest) -> GroupRequestToken {
        groupToken += 1
        groupRequests[groupToken] = request
        request.session.waitingGroupRequests.insert(groupToken)
        return groupToken
    }

    /// Changes a group and sends the answers that this made ready.
    @discardableResult
    private func change<Result>(_ id: String, _ body: (inout ConsumerGroup) -> Result) -> Result {
        let (result, replies, state, rebalances) = groups.with(id) { group in
            let before = (group.state, group.rebalances)
            let result = body(&group)
            defer { group.replies = [] }
            let state = group.state == before.0 ? nil : group.description
            return (result, group.replies, state, group.rebalances - before.1)
        }
        core.metrics.rebalances.increment(by: rebalances)
        if let state, state.state == .stable || state.state == .empty {
            core.logger.info(
                "consumer group changed",
                ["group": id, "state": state.state.rawValue, "members": "\(state.members.count)"])
        }
        for (token, reply) in replies { send(reply, token) }
        core.metrics.groups.set(Double(groups.groups.count))
        core.metrics.groupMembers.set(Double(groups.memberCount))
        startTicking()
        return result
    }

    private func send(_ reply: GroupReply, _ token: GroupRequestToken) {
        guard let request = groupRequests.removeValue(forKey: token) else { return }
        request.session.waitingGroupRequests.remove(token)
        answer(request.slot, request.header, request.session) { writer in
            switch reply {
            case .join(let outcome): outcome.encode(&writer, version: request.header.version)
            case .sync(let outcome): outcome.encode(&writer, version: request.header.version)
            }
        }
    }

    /// Looks after the groups' limits in time for as long as any group has members.
    private func startTicking() {
        guard !isTicking, groups.groups.values.contains(where: { !$0.isEmpty }) else { return }
        isTicking = true
        _ = loop.schedule(afterMilliseconds: Self.tickMilliseconds) { [weak self] in self?.tick() }
    }

    private func tick() {
        isTicking = false
        let now = now
        for (id, group) in groups.groups where group.isDue(now: now) {
            change(id) { $0.expire(now: now) }
        }
        startTicking()
    }
}

extension ConsumerGroup {
    /// Whether ``expire(now:)`` would find something to do.
    func isDue(now: Int64) -> Bool {
        if now >= phaseDeadline || initialDelayEnd.map({ now >= $0 }) ?? false { return true }
        return pendingMembers.values.contains { $0 <= now }
            || members.values.contains { $0.deadline <= now && $0.joining == nil && $0.syncing == nil }
    }
}
