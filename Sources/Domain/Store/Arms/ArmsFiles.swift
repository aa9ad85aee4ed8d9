import Arms
import Bytes
package import Files
package import Postgres
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
        let hides: Int
        let at: Int64
        /// How long it took to write it.
        let nanoseconds: Int64
    }

    /// A file that could not be written, or was given up.
    private struct Failure {
        var count = 0
        /// It is not tried again before, monotonic nanoseconds.
        var until: Int64 = 0
    }

    /// Before the first file of arms that were just loaded, and between two.
    private static let firstNanoseconds: Int64 = 30_000_000_000
    private static let nextNanoseconds: Int64 = 300_000_000_000
    /// After so long a few changes are enough.
    private static let lateNanoseconds: Int64 = 3_600_000_000_000
    /// Documents that were shown or hidden since, beside a fiftieth of all.
    private static let changesMin = 1_000
    /// Documents that were hidden leave the file after ``nextNanoseconds``, or after so many times as long as it took to write it.
    private static let restShares: Int64 = 20
    /// Doubled with every failure.
    private static let failureNanoseconds: Int64 = 300_000_000_000
    private static let failureNanosecondsMax: Int64 = 3_600_000_000_000
    /// What is left free beside a file: so much, or a twentieth of the file system where that is less.
    private static let reserveBytes = 1 << 30
    private static let suffix = ".arms"

    private let folder: String
    private let kept = Mutex<[TenantID: Kept]>([:])
    /// When arms were first seen without a file.
    private let seen = Mutex<[TenantID: (index: ObjectIdentifier, at: Int64)]>([:])
    private let failures = Mutex<[TenantID: Failure]>([:])
    private let tell: @Sendable (Event) -> Void
    private let clock: @Sendable () -> Int64
    private let space: @Sendable (String) throws(FileError) -> Folder.Space

    /// - Parameters:
    ///   - folder: made when the first file is written.
    ///   - tell: told of what it does.
    ///   - clock: monotonic nanoseconds.
    ///   - space: how much room a folder's file system has.
    package init(
        folder: String, tell: @escaping @Sendable (Event) -> Void = { _ in },
        clock: @escaping @Sendable () -> Int64 = { SystemClock.monotonicNanoseconds() },
        space: @escaping @Sendable (String) throws(FileError) -> Folder.Space = { path throws(FileError) in
            try Folder.space(at: path)
        }
    ) {
        self.folder = folder
        self.clock = clock
        self.space = space
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

    /// Whether there is a file.
    func holds(_ identity: ArmsIdentity) -> Bool { Folder.exists(path(identity)) }

    /// - Parameter goesOn: asked between pieces, with the bytes that the arms take in memory at least; false gives it up.
    func read(
        _ identity: ArmsIdentity, goesOn: (_ bytes: Int) -> Bool
    ) throws -> (index: ArmsIndex, stamp: Int64) {
        try ArmsIndex.read(path(identity), as: identity, goesOn: goesOn)
    }

    /// Nothing is lost where it stays: it is looked at anew at the next start.
    func remove(_ identity: ArmsIdentity) { try? Folder.removeIfPresent(path(identity)) }

    /// Notes that arms are those of their file, or were when they were read.
    ///
    /// - Parameter version: that of the file.
    func noteRead(_ index: ArmsIndex, version: Int64, of tenant: TenantID) {
        kept.withLock {
            $0[tenant] = Kept(
                index: ObjectIdentifier(index), version: version, changes: 0, hides: 0, at: clock(), nanoseconds: 0)
        }
    }

    // MARK: Writing

    /// Writes the arms whose files are due. Blocking. What fails is tried again after five minutes, and twice as long each time.
    ///
    /// - Parameters:
    ///   - isLast: before an end: all that have changed are due.
    ///   - goesOn: asked between pieces, and may rest; false gives it up.
    package func write(_ shared: SharedArms, isLast: Bool = false, goesOn: () -> Bool) {
        for (tenant, index, identity) in shared.all() {
            guard goesOn() else { return }
            let (changes, hides, start) = (index.changes, index.hides, clock())
            guard isLast || failures.withLock({ $0[tenant]?.until ?? .min }) <= start,
                isDue(tenant, index, changes, hides, isLast: isLast)
            else { continue }
            var hasBegun = false
            do throws(FileError) {
                if let why = try makeRoom(for: index) {
                    fail(tenant)
                    tell(.failed(tenant, why: why))
                    continue
                }
                let written = try index.write(to: path(identity), as: identity) {
                    hasBegun = true
                    return goesOn()
                }
                guard let written else {
                    // Given up half-way; else it cost nothing, and goes at the next look.
                    if hasBegun { fail(tenant) }
                    continue
                }
                let now = clock()
                kept.withLock {
                    $0[tenant] = Kept(
                        index: ObjectIdentifier(index), version: written.version, changes: changes, hides: hides,
                        at: now, nanoseconds: now - start)
                }
                failures.withLock { $0[tenant] = nil }
                tell(.written(tenant, bytes: written.bytes, milliseconds: Int((now - start) / 1_000_000)))
            } catch {
                fail(tenant)
                tell(.failed(tenant, why: "\(error)"))
            }
        }
    }

    /// Makes the folder.
    ///
    /// - Returns: why there is no room for a file beside the one that is there; nil where there is.
    private func makeRoom(for index: ArmsIndex) throws(FileError) -> String? {
        try Folder.create(Folder.parent(of: folder))
        try Folder.create(folder, mode: 0o700)
        let space = try space(folder)
        let (needed, reserve) = (index.size.bytes, min(Self.reserveBytes, space.size / 20))
        guard space.free - reserve < needed else { return nil }
        return
            "there is no room in \(folder): it takes \(needed) bytes, \(space.free) are free, and \(reserve) of these "
            + "are left to others"
    }

    private func fail(_ tenant: TenantID) {
        let now = clock()
        failures.withLock { failures in
            var failure = failures[tenant] ?? Failure()
            failure.until = now + min(Self.failureNanosecondsMax, Self.failureNanoseconds << Int64(failure.count))
            failure.count = min(failure.count + 1, 10)
            failures[tenant] = failure
        }
    }

    private func isDue(_ tenant: TenantID, _ index: ArmsIndex, _ changes: Int, _ hides: Int, isLast: Bool) -> Bool {
        let (now, id) = (clock(), ObjectIdentifier(index))
        guard let known = kept.withLock({ $0[tenant] }), known.index == id else {
            let since = seen.withLock { seen -> Int64 in
                if let known = seen[tenant], known.index == id { return known.at }
                seen[tenant] = (id, now)
                return now
            }
            return isLast || now - since >= Self.firstNanoseconds
        }
        let size = index.size
        // What expires is hidden without a version.
        guard size.version != known.version || changes != known.changes else { return false }
        if isLast { return true }
        let waited = now - known.at
        if changes - known.changes >= max(Self.changesMin, size.documents / 50), waited >= Self.nextNanoseconds {
            return true
        }
        // Texts of hidden documents are not to stay.
        if hides != known.hides, waited >= max(Self.nextNanoseconds, Self.restShares * known.nanoseconds) {
            return true
        }
        return waited >= Self.lateNanoseconds
    }

    // MARK: Removing

    /// Removes the database's files of others than some tenants and of other generations, and what was left of writing one. Those of
    /// other databases stay: other servers may keep theirs in the same folder.
    package func tidy(_ shared: SharedArms, tenants: [TenantID]) {
        guard let known = shared.all().first?.identity else { return }
        let wanted = Set(
            tenants.map { tenant in
                var identity = known
                identity.tenant = tenant.text
                return Self.name(identity)
            })
        let removed = Self.remove(in: folder, of: known.database) { !wanted.contains($0) }
        if !removed.isEmpty { tell(.removed(removed)) }
    }

    /// Removes all of a database's files, for where none are kept any more. Blocking, for some seconds at most.
    ///
    /// - Returns: their names.
    /// - Throws: where the database cannot be asked which it is.
    package static func removeAll(
        in folder: String, of configuration: PostgresConfiguration
    ) throws(IndexError) -> [String] {
        let names = (try? Folder.list(folder)) ?? []
        guard names.contains(where: { $0.hasSuffix(suffix) || $0.hasSuffix(suffix + ".tmp") }) else { return [] }
        var configuration = configuration
        configuration.sessionSettings += SearchStore.feedSettings
        configuration.role = SearchStore.readerRole
        let database = try LazyConnection(configuration).run(ReadArmsDatabase(), timeoutMilliseconds: 5_000).first
        return database.map { remove(in: folder, of: $0) } ?? []
    }

    /// Removes a database's files, but what somebody is just writing.
    ///
    /// - Parameter isOver: whether a file, by its name, is of no use; all that was left of writing one is.
    /// - Returns: their names.
    static func remove(in folder: String, of database: String, where isOver: (String) -> Bool = { _ in true })
        -> [String]
    {
        guard let names = try? Folder.list(folder) else { return [] }
        return names.filter { name in
            guard name.hasPrefix(database + "-") else { return false }
            let path = folder + "/" + name
            if name.hasSuffix(suffix + ".tmp") { return removeLeft(path) }
            return name.hasSuffix(suffix) && isOver(name) && (try? Folder.removeIfPresent(path)) != nil
        }
    }

    /// Removes what was left of writing a file; not where somebody is writing it.
    private static func removeLeft(_ path: String) -> Bool {
        guard var file = try? File(path, .readWrite, permissions: 0o600), (try? file.tryLock()) ?? false,
            file.bearsItsName
        else { return false }
        return (try? Folder.removeIfPresent(path)) != nil
    }
}
