/// How much memory the server uses, and the settings of Postgres that follow from it.
package struct PostgresMemory: Sendable, Equatable, CustomStringConvertible {
    /// Postgres' own page cache (`shared_buffers`), in bytes.
    package let sharedBuffers: Int
    /// What the planner takes for all that is cached, Postgres' pages and the system's, in bytes.
    let effectiveCacheSize: Int
    /// What one index build holds, in bytes: an HNSW graph that does not fit is built many times slower.
    let maintenanceWork: Int
    /// What each of the three automatic cleaners holds, in bytes.
    let cleaningWork: Int
    /// What one sort or hash of a query holds, in bytes.
    let work: Int
    /// Processes that help one index build.
    let buildWorkers: Int
    /// Whether processes share further memory by files in /dev/shm; else by files beside the data, which every machine has.
    let sharesInMemory: Bool
    /// What the write-ahead log grows to between checkpoints, in bytes on the disk. After a checkpoint whole pages are logged
    /// anew, so fewer checkpoints save most of what inserts into a large vector index write.
    let logSizeMax: Int

    /// So much at least, in bytes.
    static let sharedBuffersMin = 32 << 20
    /// So much at most where it follows from the machine, in bytes: the index of some ten million passages.
    static let automaticMax = 16 << 30
    /// With so little, in bytes, the server starts nearly everywhere.
    static let modest = 128 << 20
    /// With less room in /dev/shm, in bytes, nothing is shared there: statistics alone may take some megabytes.
    static let sharedFilesMin = 16 << 20

    /// - Parameters:
    ///   - bytes: of the page cache (`PG_MEMORY_BYTES`); 0 for a quarter of the memory.
    ///   - connections: at once; each may sort.
    package init(bytes: Int, on machine: MachineResources, connections: Int) {
        let automatic = min(machine.memoryBytes / 4, Self.automaticMax)
        // Whole megabytes, as they are shown.
        let wanted = max(bytes > 0 ? bytes : automatic, Self.sharedBuffersMin)
        sharedBuffers = wanted - wanted % (1 << 20)
        // Other roles of this platform want the rest.
        effectiveCacheSize = max(machine.memoryBytes / 2, sharedBuffers)
        maintenanceWork = min(max(sharedBuffers / 4, min(Self.modest, sharedBuffers)), 2 << 30)
        cleaningWork = min(maintenanceWork, 256 << 20)
        work = min(max(sharedBuffers / (2 * max(1, connections)), 8 << 20), 64 << 20)
        sharesInMemory = machine.sharedFilesBytes >= Self.sharedFilesMin
        // The workers of an index build share all of its memory in that way. /dev/shm has 64 MiB in many containers: a build
        // without room there fails, while a single process needs none.
        let isRoomForBuilds = machine.sharedFilesBytes >= maintenanceWork + maintenanceWork / 2
        buildWorkers = sharesInMemory && isRoomForBuilds ? min(max(machine.processors - 1, 0), 4) : 0
        logSizeMax = min(max(sharedBuffers, 1 << 30), 4 << 30)
    }

    /// The ``modest`` one, with nothing in /dev/shm, for where the machine refuses more; nil where this is it.
    var reduced: PostgresMemory? {
        let machine = MachineResources(memoryBytes: effectiveCacheSize * 2, sharedFilesBytes: 0, processors: 1)
        let reduced = PostgresMemory(bytes: min(sharedBuffers, Self.modest), on: machine, connections: 100)
        return reduced == self ? nil : reduced
    }

    package var description: String { "shared_buffers=\(sharedBuffers >> 20)MB" }

    /// Arguments of `-c`.
    var settings: [String] {
        func megabytes(_ bytes: Int) -> String { "\(bytes >> 20)MB" }
        return [
            "shared_buffers=\(megabytes(sharedBuffers))", "huge_pages=try",
            "dynamic_shared_memory_type=\(sharesInMemory ? "posix" : "mmap")",
            "effective_cache_size=\(megabytes(effectiveCacheSize))",
            "maintenance_work_mem=\(megabytes(maintenanceWork))", "autovacuum_work_mem=\(megabytes(cleaningWork))",
            "work_mem=\(megabytes(work))", "max_parallel_maintenance_workers=\(buildWorkers)",
            "max_wal_size=\(megabytes(logSizeMax))", "min_wal_size=\(megabytes(logSizeMax / 8))",
        ]
    }

    /// What a server that did not start said of memory; nil where that is not why.
    ///
    /// - Parameter log: what it has logged since its start.
    static func complaint(in log: String) -> String? {
        guard !log.contains("database system is ready to accept connections") else { return nil }
        return log.split(whereSeparator: \.isNewline).first { line in
            (line.contains(" FATAL: ") || line.contains(" PANIC: ") || line.contains(" LOG: "))
                && complaints.contains { line.contains($0) }
        }.map { line in String(line.firstRange(of: ":  ").map { line[$0.upperBound...] } ?? line) }
    }

    /// In Postgres' words (sysv_shmem.c, dsm_impl.c, mcxt.c) and the system's. The language is set to none.
    private static let complaints = [
        "could not map anonymous shared memory", "could not create shared memory segment",
        "could not resize shared memory segment", "could not map shared memory segment", "out of memory",
        "Cannot allocate memory",
    ]
}
