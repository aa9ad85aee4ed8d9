import Files
import Glibc
import PlatformTesting
import Postgres
import ServiceLifecycle
import Telemetry
import Testing

@testable import EmbeddedPostgres

/// How much memory the embedded server takes, of which machine, and what it does where that is refused.
@Suite(.serialized) struct PostgresMemoryTests {
    private static let mebibyte = 1 << 20
    private static let gibibyte = 1 << 30
    private let limit = 20_000

    private func memory(
        _ bytes: Int = 0, machine: Int, sharedFiles: Int = 64 << 30, processors: Int = 8, connections: Int = 40
    ) -> PostgresMemory {
        PostgresMemory(
            bytes: bytes,
            on: MachineResources(memoryBytes: machine, sharedFilesBytes: sharedFiles, processors: processors),
            connections: connections)
    }

    @Test func aQuarterOfTheMachineUnlessItIsSet() {
        for (machine, expected) in [
            (256 << 20, 64), (64 << 20, 32), (0, 32), (1 << 30, 256), (24 << 30, 6_144), (1 << 40, 16_384),
        ] {
            #expect(memory(machine: machine).sharedBuffers == expected << 20, "\(machine)")
        }
        for (bytes, expected) in [
            (1, 32), (128 << 20, 128), (3 << 30, 3_072), (300 << 30, 307_200), ((1 << 30) - 1, 1_023),
        ] {
            #expect(memory(bytes, machine: 8 << 30).sharedBuffers == expected << 20, "\(bytes)")
        }
        #expect("\(memory(128 << 20, machine: 0))" == "shared_buffers=128MB")
    }

    /// What follows from it is bounded at both ends, and the modest one is what earlier releases had.
    @Test func otherSizesFollow() {
        let modest = memory(128 << 20, machine: 8 << 30)
        #expect(modest.maintenanceWork == 128 << 20 && modest.work == 8 << 20 && modest.logSizeMax == 1 << 30)
        for machine in [64 << 20, 512 << 20, 2 << 30, 24 << 30, 2 << 40] {
            let memory = memory(machine: machine)
            #expect(memory.maintenanceWork <= memory.sharedBuffers && memory.maintenanceWork <= 2 << 30)
            #expect(memory.cleaningWork <= memory.maintenanceWork)
            #expect((8 << 20...64 << 20).contains(memory.work))
            #expect((1 << 30...4 << 30).contains(memory.logSizeMax))
            #expect(
                memory.effectiveCacheSize >= memory.sharedBuffers && memory.effectiveCacheSize <= max(machine, 32 << 20)
            )
        }
        #expect(memory(machine: 24 << 30).maintenanceWork == 1_536 << 20)
        #expect(memory(machine: 2 << 40).maintenanceWork == 2 << 30)
        #expect(memory(machine: 24 << 30, connections: 1_000).work == 8 << 20)
    }

    /// Workers of an index build share its memory in /dev/shm, and containers often have 64 MiB there.
    @Test func noMoreIsSharedThanThereIsRoomFor() {
        let whole = memory(machine: 8 << 30)
        #expect(whole.buildWorkers == 4 && whole.sharesInMemory)
        #expect(memory(machine: 8 << 30, processors: 2).buildWorkers == 1)
        #expect(memory(machine: 8 << 30, processors: 1).buildWorkers == 0)
        let container = memory(machine: 8 << 30, sharedFiles: 64 << 20)
        #expect(container.buildWorkers == 0 && container.sharesInMemory)
        #expect(memory(machine: 8 << 30, sharedFiles: 1 << 30).buildWorkers == 4)
        let bare = memory(machine: 8 << 30, sharedFiles: 0)
        #expect(bare.buildWorkers == 0 && !bare.sharesInMemory)
        #expect(bare.settings.contains("dynamic_shared_memory_type=mmap"))
    }

    @Test func aRefusedServerTakesLessOnce() throws {
        let reduced = try #require(memory(machine: 64 << 30).reduced)
        #expect(reduced.sharedBuffers == 128 << 20 && reduced.buildWorkers == 0 && !reduced.sharesInMemory)
        #expect(reduced.maintenanceWork == 128 << 20 && reduced.work == 8 << 20)
        #expect(reduced.reduced == nil)
        #expect(memory(32 << 20, machine: 64 << 20).reduced?.sharedBuffers == 32 << 20)
    }

    @Test(
        arguments: [
            (
                "2026-01-01 00:00:00.000 UTC [7] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n"
                    + "2026-01-01 00:00:00.000 UTC [7] HINT:  This error usually means",
                "could not map anonymous shared memory: Cannot allocate memory"
            ),
            (
                "x [7] FATAL:  could not resize shared memory segment \"/PostgreSQL.1\" to 1048576 bytes: No space left on device",
                "could not resize shared memory segment \"/PostgreSQL.1\" to 1048576 bytes: No space left on device"
            ),
            (
                "x [7] FATAL:  could not create shared memory segment: Invalid argument\n",
                "could not create shared memory segment: Invalid argument"
            ),
            ("x [7] FATAL:  out of memory\n", "out of memory"),
            ("x [7] FATAL:  could not create lock file \"postmaster.pid\": No space left on device\n", nil),
            ("x [7] FATAL:  data directory \"/x\" has invalid permissions\n", nil),
            ("x [7] LOG:  database system is ready to accept connections\nx [9] FATAL:  out of memory\n", nil),
            ("x [9] WARNING:  out of memory\n", nil), ("", nil),
        ] as [(String, String?)]) func complaintsAreTold(log: String, complaint: String?)
    {
        #expect(PostgresMemory.complaint(in: log) == complaint)
    }

    /// Both versions of control groups, as hosts and containers show them.
    @Test func theContainersLimitCounts() throws {
        let folder = try TemporaryFolder()
        func put(_ path: String, _ text: String) throws {
            let file = folder.path + path
            try Folder.create(Folder.parent(of: file), mode: 0o755)
            try File.replace(file, with: Array(text.utf8))
        }
        let groups = ControlGroups(root: folder.path)
        #expect(groups.memoryLimit == nil)
        try put("/proc/self/cgroup", "0::/system.slice/medallion.service\n")
        #expect(groups.memoryLimit == nil)
        try put("/sys/fs/cgroup/system.slice/medallion.service/memory.max", "max\n")
        #expect(groups.memoryLimit == nil)
        try put("/sys/fs/cgroup/system.slice/memory.max", "2147483648\n")
        #expect(groups.memoryLimit == 2 << 30)
        // Inside a container the mount is its own group.
        try put("/sys/fs/cgroup/memory.max", "1073741824\n")
        #expect(groups.memoryLimit == 1 << 30)
        try put("/proc/self/cgroup", "12:cpu,cpuacct:/docker/ab\n9:memory:/docker/ab\n0::/\n")
        try put("/sys/fs/cgroup/memory.max", "max\n")
        try put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        #expect(groups.memoryLimit == nil)
        try put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n")
        #expect(groups.memoryLimit == 512 << 20)
        #expect(MachineResources.current.memoryBytes > 0 && MachineResources.current.processors > 0)
    }

    // MARK: The running server

    private func server(_ path: String, bytes: Int, programs: String = "") -> EmbeddedPostgres {
        var configuration = EmbeddedPostgresConfiguration(folder: path)
        configuration.isDurable = false
        configuration.memoryBytes = bytes
        configuration.programsFolder = programs
        return EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres", level: .error))
    }

    private func shown(_ server: EmbeddedPostgres, _ name: String) throws -> String? {
        let connection = try PostgresConnection(PostgresConfiguration(dsn: server.dsn), timeoutMilliseconds: limit)
        return try connection.script("SHOW \(name)", timeoutMilliseconds: limit).first?.first.flatMap { $0 }
    }

    @Test func anotherSettingCountsFromTheNextStart() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        for (bytes, buffers, maintenance) in [(128 << 20, "128MB", "128MB"), (96 << 20, "96MB", "96MB")] {
            let postgres = server(folder.file("postgres"), bytes: bytes)
            try postgres.start()
            #expect(try shown(postgres, "shared_buffers") == buffers)
            #expect(try shown(postgres, "maintenance_work_mem") == maintenance)
            #expect(try shown(postgres, "work_mem") == "8MB")
            #expect(try shown(postgres, "huge_pages") == "try")
            #expect(try shown(postgres, "max_wal_size") == "1GB")
            postgres.shutDown()
        }
    }

    /// The machine refuses four gibibytes to a process that may have three; the server runs all the same.
    @Test func aMachineThatRefusesGetsAModestServer() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let real = try PostgresPrograms(setting: "").folder
        let programs = folder.file("programs")
        try Folder.create(programs, mode: 0o755)
        for name in ["postgres", "initdb"] {
            let limits = name == "postgres" ? "ulimit -v 3145728; " : ""
            try File.replace(
                "\(programs)/\(name)", with: Array("#!/bin/sh\n\(limits)exec '\(real)/\(name)' \"$@\"\n".utf8))
            chmod("\(programs)/\(name)", 0o755)
        }
        let postgres = server(folder.file("postgres"), bytes: 4 << 30, programs: programs)
        try postgres.start()
        defer { postgres.shutDown() }
        #expect(try shown(postgres, "shared_buffers") == "128MB")
        #expect(try shown(postgres, "max_parallel_maintenance_workers") == "0")
        #expect(try shown(postgres, "dynamic_shared_memory_type") == "mmap")
    }
}
