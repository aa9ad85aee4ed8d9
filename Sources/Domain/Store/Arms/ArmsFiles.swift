import Arms
import Bytes
import Files
package import Records
import Retrieval
import Synchronization

/// The files in which arms are kept between starts: one for each tenant, in one folder, named after the database, the tenant and the
/// generation.
package final class ArmsFiles: Sendable {
    /// What is told of its work.
    package enum Event: Sendable, Equatable {
        case written(TenantID, bytes: Int, milliseconds: Int)
        case failed(TenantID, why: String)
        /// Files of tenants, generations or databases that are no more.
        case removed([String])
    }

    /// What a tenant's file holds.
    private struct Kept {
        /// Of the arms, which are others after they were loaded anew.
        let index: ObjectIdentifier
        let version: Int64
        let changes: Int
        let at: Int64
    }

    /// Before the first file of arms that were just loaded, and between two.
    private static let firstNanoseconds: Int64 = 30_000_000_000
    private static let nextNanoseconds: Int64 = 300_000_000_000
    /// After so long a few changes are enough.
    private static let lateNanoseconds: Int64 = 3_600_000_000_000
    /// Documents that were shown or hidden since, beside a fiftieth of all.
    private static let changesMin = 1_000
    private static let suffix = ".arms"

    private let folder: String
    private let kept = Mutex<[TenantID: Kept]>([:])
    /// When arms were first seen without a file.
    private let seen = Mutex<[TenantID: (index: ObjectIdentifier, at: Int64)]>([:])
    private let tell: @Sendable (Event) -> Void

    /// - Parameters:
    ///   - folder: made when the first file is written.
    ///   - tell: told of what it does.
    package init(folder: String, tell: @escaping @Sendable (Event) -> Void = { _ in }) {
        self.folder = folder
        self.tell = tell
    }

    private static func name(_ identity: ArmsIdentity) -> String {
        // Names of files are shorter than names of tenants may be.
        let hash = StableHash.of(identity.tenant.utf8)
        return "\(identity.database)-\(identity.tenant.prefix(64))-\(String(hash, radix: 16))-\(identity.generation)"
            + suffix
    }

    private func path(_ identity: ArmsIdentity) -> String { folder + "/" + Self.name(identity) }

    // MARK: Reading

    /// Bytes of a file; nil where there is none.
    func size(of identity: ArmsIdentity) -> Int? {
        let path = path(identity)
        guard Folder.exists(path), let file = try? File(path, .read) else { return nil }
        return try? file.size()
    }

    func read(_ identity: ArmsIdentity) throws -> (index: ArmsIndex, stamp: Int64) {
        try ArmsIndex.read(path(identity), as: identity)
    }

    /// Nothing is lost where it stays: it is looked at anew at the next start.
    func remove(_ identity: ArmsIdentity) { try? Folder.removeIfPresent(path(identity)) }

    /// Notes that arms are those of their file, or were when they were read.
    ///
    /// - Parameter version: that of the file.
    func noteRead(_ index: ArmsIndex, version: Int64, of tenant: TenantID) {
        kept.withLock {
            $0[tenant] = Kept(
                index: ObjectIdentifier(index), version: version, changes: 0, at: SystemClock.monotonicNanoseconds())
        }
    }

    // MARK: Writing

    /// Writes the arms whose files are due. Blocking.
    ///
    /// - Parameters:
    ///   - isLast: before an end: all that have changed are due.
    ///   - goesOn: asked between pieces, and may rest; false gives it up.
    package func write(_ shared: SharedArms, isLast: Bool = false, goesOn: () -> Bool) {
        for (tenant, index, identity) in shared.all() {
            guard goesOn() else { return }
            let changes = index.changes
            guard isDue(tenant, index, changes, isLast: isLast) else { continue }
            let start = SystemClock.monotonicNanoseconds()
            do throws(FileError) {
                try Folder.create(folder)
                guard let written = try index.write(to: path(identity), as: identity, goesOn: goesOn) else { continue }
                let now = SystemClock.monotonicNanoseconds()
                kept.withLock {
                    $0[tenant] = Kept(
                        index: ObjectIdentifier(index), version: written.version, changes: changes, at: now)
                }
                tell(.written(tenant, bytes: written.bytes, milliseconds: Int((now - start) / 1_000_000)))
            } catch {
                tell(.failed(tenant, why: "\(error)"))
            }
        }
    }

    private func isDue(_ tenant: TenantID, _ index: ArmsIndex, _ changes: Int, isLast: Bool) -> Bool {
        let (now, id) = (SystemClock.monotonicNanoseconds(), ObjectIdentifier(index))
        guard let known = kept.withLock({ $0[tenant] }), known.index == id else {
            let since = seen.withLock { seen -> Int64 in
                if let known = seen[tenant], known.index == id { return known.at }
                seen[tenant] = (id, now)
                return now
            }
            return isLast || now - since >= Self.firstNanoseconds
        }
        let size = index.size
        guard size.version != known.version else { return false }
        if isLast { return true }
        let isMuch = changes - known.changes >= max(Self.changesMin, size.documents / 50)
        return now - known.at >= (isMuch ? Self.nextNanoseconds : Self.lateNanoseconds)
    }

    /// Removes files of others than some tenants, of other generations and databases, and what was left of writing one.
    package func tidy(_ shared: SharedArms, tenants: [TenantID]) {
        guard let known = shared.all().first?.identity, let names = try? Folder.list(folder) else { return }
        let wanted = Set(
            tenants.map { tenant in
                var identity = known
                identity.tenant = tenant.text
                return Self.name(identity)
            })
        var removed: [String] = []
        for name in names where name.hasSuffix(Self.suffix) || name.hasSuffix(Self.suffix + ".tmp") {
            let isTemporary = name.hasSuffix(".tmp")
            guard !wanted.contains(isTemporary ? String(name.dropLast(4)) : name) else { continue }
            if isTemporary, !isLeft(folder + "/" + name) { continue }
            if (try? Folder.removeIfPresent(folder + "/" + name)) != nil { removed.append(name) }
        }
        if !removed.isEmpty { tell(.removed(removed)) }
    }

    /// Whether nobody writes a file any more.
    private func isLeft(_ path: String) -> Bool {
        guard var file = try? File(path, .readWrite) else { return false }
        return (try? file.tryLock()) ?? false
    }
}
