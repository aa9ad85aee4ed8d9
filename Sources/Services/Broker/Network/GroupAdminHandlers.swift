import EventLoop
import Files

/// Consumer groups: requests of administrators.
extension BrokerLoop {
    func listGroups(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try ListGroupsRequest(&reader, version: header.version)
        let ids = Set(core.tables.groupsWithOffsets()).union(groups.groups.keys)
        let states = Set(request.states.map { $0.lowercased() })
        var found = ids.sorted().map(describe)
        found.removeAll { $0.state == .dead }
        if !states.isEmpty { found.removeAll { !states.contains($0.state.rawValue.lowercased()) } }
        if !request.types.isEmpty, !request.types.contains(where: { $0.lowercased() == ListGroupsResponse.groupType }) {
            found = []
        }
        answer(session.reserveSlot(), header, session) {
            ListGroupsResponse(groups: found).encode(&$0, version: header.version)
        }
    }

    func describeGroups(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DescribeGroupsRequest(&reader, version: header.version)
        let response = DescribeGroupsResponse(groups: request.groups.map(describe))
        answer(session.reserveSlot(), header, session) { response.encode(&$0, version: header.version) }
    }

    private func describe(_ id: String) -> GroupDescription {
        let hasOffsets = !core.tables.committed(id).isEmpty
        if let group = groups.groups[id], !group.isEmpty || hasOffsets { return group.description }
        return GroupDescription(id: id, state: hasOffsets ? .empty : .dead)
    }

    func deleteGroups(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DeleteGroupsRequest(&reader)
        var results: [(group: String, error: ErrorCode)] = []
        for id in request.groups {
            let hasOffsets = !core.tables.committed(id).isEmpty
            if let group = groups.groups[id], !group.isEmpty {
                results.append((id, .nonEmptyGroup))
            } else if groups.groups[id] == nil, !hasOffsets {
                results.append((id, GroupCoordinator.isValidID(id) ? .groupIDNotFound : .invalidGroupID))
            } else {
                groups.forget(id)
                results.append((id, .none))
            }
        }
        let checked = results
        let logger = core.logger
        change(header, reader, session) { state in
            var results = checked
            let doomed = Set(checked.filter { $0.error == .none }.map(\.group))
            do throws(FileError) {
                try state.forgetOffsets { group, _ in doomed.contains(group) }
            } catch {
                logger.error("cannot forget the offsets of deleted groups", ["error": "\(error)"])
                for index in results.indices where results[index].error == .none {
                    results[index].error = .coordinatorNotAvailable
                }
            }
            let response = DeleteGroupsResponse(results: results)
            return { response.encode(&$0) }
        }
    }
}
