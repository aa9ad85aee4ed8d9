import Arms
import Bytes
import Records

/// What hits show: loaded behind the arms, and given up before them.
extension ArmsKeeper {
    /// How far it is with a tenant's rows.
    enum Rows {
        /// Behind this document.
        case loading(after: Int64)
        case complete
        /// There was no room for so many bytes.
        case refused(bytes: Int)

        var areWanted: Bool {
            if case .refused = self { return false }
            return true
        }
    }

    /// After so long the index is followed again.
    private static let loadNanoseconds: Int64 = 50_000_000
    /// Documents of a collection that are looked at at once.
    private static let oldestMax = 200
    private static let expiredPagesMax = 20

    /// Loads the rows of arms that are there, for a while.
    func loadRows(_ isStopping: () -> Bool) throws(IndexError) {
        let until = SystemClock.monotonicNanoseconds() + Self.loadNanoseconds
        for tenant in arms.keys.sorted() {
            if case .refused(let wanted)? = arms[tenant]?.rows, wanted < bytesMax - bytes {
                arms[tenant]?.index.change { $0.beginRows() }
                arms[tenant]?.rows = .loading(after: -1)
            }
            while case .loading(let after)? = arms[tenant]?.rows, let known = arms[tenant] {
                let last: Int64?
                do throws(IndexError) {
                    last = try feed(of: tenant).loadRows(
                        known.index, generation: known.state.generation, after: after)
                } catch {
                    guard ArmsFeed.isOfRows(error) else { throw error }
                    refuseUnreadableRows(of: tenant)
                    break
                }
                arms[tenant]?.rows = last.map { .loading(after: $0) } ?? .complete
                if last == nil { tell(.rowsLoaded(tenant, known.index.size)) }
                if bytes > bytesMax { refuseRows(of: tenant) }
                if isStopping() || SystemClock.monotonicNanoseconds() > until { return }
            }
        }
    }

    /// Gives up the rows of the tenant that has most, and so on, until there is room.
    func giveUpRows(toFit needed: Int) {
        while bytes + needed > bytesMax {
            let sizes = arms.mapValues { $0.index.size.rowBytes }.filter { $0.value > 0 }
            guard let largest = sizes.max(by: { $0.value < $1.value }) else { return }
            refuseRows(of: largest.key)
        }
    }

    /// Rows that cannot be read are not tried again until the arms are loaded anew.
    func refuseUnreadableRows(of tenant: TenantID) {
        guard let index = arms[tenant]?.index else { return }
        let size = index.size
        index.change { $0.giveUpRows() }
        arms[tenant]?.rows = .refused(bytes: bytesMax)
        tell(.rowsGivenUp(tenant, bytes: size.rowBytes))
    }

    private func refuseRows(of tenant: TenantID) {
        guard let index = arms[tenant]?.index else { return }
        let size = index.size
        // What all of them would take, and a little more.
        let wanted = size.rowBytes / max(1, size.rows) * size.documents * 11 / 10
        index.change { $0.giveUpRows() }
        arms[tenant]?.rows = .refused(bytes: max(wanted, size.rowBytes))
        tell(.rowsGivenUp(tenant, bytes: size.rowBytes))
    }

    /// Hides documents that have expired. They go without an index version, those of the oldest events first: so the oldest ones
    /// tell.
    func hideExpired(_ tenant: TenantID, by feed: ArmsFeed) throws(IndexError) {
        guard let known = arms[tenant] else { return }
        let now = SystemClock.monotonicNanoseconds()
        guard now >= known.expiry.dueAt else { return }
        arms[tenant]?.expiry = (now + expiryNanoseconds, known.expiry.turn + 1)
        _ = try hideExpired(
            in: known.index, turn: known.expiry.turn, by: feed, generation: known.state.generation)
        // Of a large index the look itself takes a while: a hundredth of the time is enough.
        let took = SystemClock.monotonicNanoseconds() - now
        arms[tenant]?.expiry.dueAt = now + max(expiryNanoseconds, min(100 * took, 20 * expiryNanoseconds))
    }

    /// - Parameter turn: which collection's.
    /// - Returns: whether nothing is left to be hidden.
    func hideExpired(
        in index: ArmsIndex, turn: Int, by feed: ArmsFeed, generation: Int64
    ) throws(IndexError) -> Bool {
        for _ in 0..<Self.expiredPagesMax {
            let oldest = index.oldest(Self.oldestMax, turn: turn)
            let gone = try feed.gone(among: oldest, of: index, generation: generation)
            if !gone.isEmpty { index.change { $0.hide(gone: gone) } }
            if gone.count * 2 < oldest.count || gone.isEmpty { return true }
        }
        return false
    }
}
