import EventLoop

/// Fetches that wait until there are enough bytes or their time is over.
struct FetchWaiters {
    struct Waiter {
        let request: FetchRequest
        let header: RequestHeader
        let session: ClientSession
        let slot: Int
        let logs: [(log: PartitionLog, offset: Int64)]
        let timer: LoopTimer

        /// Whether there is enough by now, counted without reading anything.
        var isSatisfied: Bool {
            var bytes = 0
            for (log, offset) in logs {
                bytes += log.bytesAvailable(from: offset)
                if bytes >= Int(request.bytesMin) { return true }
            }
            return false
        }
    }

    private var byID: [Int: Waiter] = [:]
    private var idsByLog: [ObjectIdentifier: Set<Int>] = [:]
    private var nextID = 0

    var count: Int { byID.count }

    /// The number for the next waiter, which its timer needs before the waiter exists.
    mutating func reserveID() -> Int {
        defer { nextID += 1 }
        return nextID
    }

    mutating func add(_ id: Int, _ waiter: Waiter) {
        byID[id] = waiter
        for (log, _) in waiter.logs { idsByLog[ObjectIdentifier(log), default: []].insert(id) }
    }

    mutating func remove(_ id: Int) -> Waiter? {
        guard let waiter = byID.removeValue(forKey: id) else { return nil }
        for (log, _) in waiter.logs {
            let key = ObjectIdentifier(log)
            idsByLog[key]?.remove(id)
            if idsByLog[key]?.isEmpty == true { idsByLog[key] = nil }
        }
        return waiter
    }

    /// Takes out the waiters of a log that have enough now, oldest first.
    mutating func takeSatisfied(by log: PartitionLog) -> [(id: Int, waiter: Waiter)] {
        var taken: [(id: Int, waiter: Waiter)] = []
        for id in (idsByLog[ObjectIdentifier(log)] ?? []).sorted() {
            guard byID[id]?.isSatisfied == true, let waiter = remove(id) else { continue }
            taken.append((id, waiter))
        }
        return taken
    }
}
