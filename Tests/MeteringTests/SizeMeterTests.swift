import Files
import Lake
import PlatformTesting
import ServiceLifecycle
import Telemetry
import Testing

@testable import Metering

/// Lake and disks are measured in the background, and shown at a scrape.
@Suite struct SizeMeterTests {
    @Test func lakeAndDisksAreShownOnceTheyWereMeasured() async throws {
        let folder = try TemporaryFolder()
        let lake = folder.file("lake")
        try Folder.create(lake + "/bronze/topic=t/partition=0")
        try Folder.create(lake + "/_commits/topic=t")
        try File.replace(lake + "/bronze/topic=t/partition=0/x", with: [UInt8](repeating: 1, count: 1_000))
        try File.replace(lake + "/_commits/topic=t/partition=0.log", with: [UInt8](repeating: 1, count: 30))
        try File.replace(lake + "/_generations.log", with: [1, 2, 3])
        let registry = MetricsRegistry()
        let meter = SizeMeter(
            lake: LakeLayout(root: lake), index: nil,
            folders: [(name: "lake", path: lake), (name: "broker", path: folder.file("not there"))],
            metrics: registry, logger: Logger("sizes", level: .error))
        func text() -> String { String(decoding: registry.render(), as: UTF8.self) }
        // Nothing is better than a wrong 0.
        #expect(!text().contains("medallion_lake_bytes"))
        let stop = StopSignal()
        async let running: Void = meter.run(stop: stop)
        await waitUntil { text().contains("medallion_lake_bytes") && text().contains("medallion_disk_size_bytes") }
        let found = text()
        stop.request()
        try await running
        #expect(found.contains("medallion_lake_bytes{layer=\"bronze\",place=\"local\"} 1000\n"))
        #expect(found.contains("medallion_lake_bytes{layer=\"commits\",place=\"local\"} 30\n"))
        #expect(found.contains("medallion_lake_bytes{layer=\"other\",place=\"local\"} 3\n"))
        #expect(found.contains("medallion_lake_bytes{layer=\"gold\",place=\"tiered\"} 0\n"))
        #expect(found.contains("medallion_disk_free_bytes{folder=\"lake\"} "))
        #expect(!found.contains("folder=\"broker\""), "what is not there has no room")
        #expect(found.contains("medallion_sizes_age_seconds{of=\"lake\"} "))
        #expect(!found.contains("medallion_index_bytes"))
    }

    @Test func theFileSystemsRoomIsNamed() throws {
        let folder = try TemporaryFolder()
        let space = try #require(DiskSpace(at: folder.path))
        #expect(space.sizeBytes > 0 && space.freeBytes <= space.sizeBytes)
        #expect(DiskSpace(at: folder.file("x")) == nil)
    }
}
