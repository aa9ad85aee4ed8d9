import Arms
import Bytes
import Files
import Records

/// Arms that were kept in a file.
extension ArmsKeeper {
    /// While a file is read, the other tenants are followed so often.
    private static let besideNanoseconds: Int64 = 100_000_000
    /// Some thousand documents each: what has expired beyond is loaded anew.
    private static let expiredRoundsMax = 250

    /// Whose a tenant's arms are; nil where there are no files.
    func identity(of tenant: TenantID, _ state: ReadArmsState.Row) -> ArmsIdentity? {
        guard files != nil, let database, !database.isEmpty else { return nil }
        return ArmsIdentity(
            database: database, tenant: tenant.text, generation: state.generation, model: state.model,
            modelName: state.modelName, dimensions: state.dimensions, analyzer: PassageWords.version)
    }

    /// Reads a tenant's arms from their file, once, and brings them up to date.
    ///
    /// - Parameter isStopping: asked between pieces; true gives it up.
    /// - Returns: whether nothing is left to be done: they are there, or it was given up.
    func read(
        _ tenant: TenantID, _ state: ReadArmsState.Row, by feed: ArmsFeed, _ isStopping: () -> Bool
    ) throws(IndexError) -> Bool {
        guard let files else { return false }
        if database == nil { try findDatabase() }
        guard lookedFor.insert(tenant).inserted, let identity = identity(of: tenant, state),
            files.holds(identity)
        else { return false }
        let start = SystemClock.monotonicNanoseconds()
        var (followedAt, isTooLarge) = (start, false)
        func goesOn(_ taken: Int) -> Bool {
            // Rows give way to arms.
            let held = arms.values.map(\.index.size).reduce(0) { $0 + $1.bytes - $1.rowBytes }
            isTooLarge = held + taken > bytesMax
            guard !isTooLarge, !isStopping() else { return false }
            giveUpRows(toFit: taken)
            if SystemClock.monotonicNanoseconds() - followedAt > Self.besideNanoseconds {
                // What fails here fails again in the next round, which tells of it.
                _ = try? followAll()
                followedAt = SystemClock.monotonicNanoseconds()
            }
            return true
        }
        let index: ArmsIndex
        let version: Int64
        var unshown: ArmsIndex?
        defer { unshown?.abandon() }
        do {
            let known = try files.read(identity, goesOn: goesOn)
            index = known.index
            unshown = index
            version = index.version
            if let why = try reason(against: known, state, by: feed, goesOn) { throw ArmsFileFault(why: why) }
        } catch let error as IndexError {
            // Postgres' fault and not the file's.
            lookedFor.remove(tenant)
            throw error
        } catch is ArmsReadingGivenUp {
            if isTooLarge { return false }
            lookedFor.remove(tenant)
            return true
        } catch {
            if error is FileError {
                // The system's fault: the file may be as good as ever.
                tell(.fileDropped(tenant, why: "it cannot be read, and stays as it is: \(error)"))
                return false
            }
            files.remove(identity)
            tell(.fileDropped(tenant, why: "\(error)"))
            return false
        }
        unshown = nil
        files.noteRead(index, version: version, of: tenant)
        show(index, of: tenant, state, checkedAt: start)
        tell(.read(tenant, index.size, milliseconds: Int((SystemClock.monotonicNanoseconds() - start) / 1_000_000)))
        return true
    }

    /// Brings arms up to date that were read.
    ///
    /// - Returns: why they are of no use.
    private func reason(
        against known: (index: ArmsIndex, stamp: Int64), _ state: ReadArmsState.Row, by feed: ArmsFeed,
        _ goesOn: (_ bytes: Int) -> Bool
    ) throws -> String? {
        let index = known.index
        if let why = reason(against: Arms(index: index, state: state), state) { return why }
        let stamp = try connection.run(
            FindArmsStamp(version: index.version), timeoutMilliseconds: Self.timeoutMilliseconds
        ).first
        guard stamp == known.stamp || index.version == 0 && known.stamp == 0 else {
            return "the index has another history"
        }
        guard try feed.follow(index, state) else { return "too much has changed since" }
        // What expired meanwhile is not shown for a moment.
        for turn in 0..<index.collectionCount {
            var rounds = 0
            while !(try hideExpired(in: index, turn: turn, by: feed, generation: state.generation)) {
                rounds += 1
                guard rounds < Self.expiredRoundsMax else { return "too much has expired since" }
                guard goesOn(index.size.bytes) else { throw ArmsReadingGivenUp() }
            }
        }
        guard let newest = try readState(), newest.generation == state.generation, newest.model == state.model else {
            return "another generation was promoted"
        }
        return try feed.follow(index, newest) ? nil : "too much has changed since"
    }

    private func findDatabase() throws(IndexError) {
        do throws(IndexError) {
            database = try connection.run(ReadArmsDatabase(), timeoutMilliseconds: Self.timeoutMilliseconds).first ?? ""
        } catch {
            guard error.underlying?.kind == .server else { throw error }
            database = ""
            tell(.filesAreOff(why: "\(error)"))
        }
    }
}

/// Why arms that were read are of no use.
private struct ArmsFileFault: Error, CustomStringConvertible {
    let why: String
    var description: String { why }
}
