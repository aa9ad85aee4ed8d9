import Files
import Glibc
import HTTPClient
import JSONScan
import Kafka
import ObjectStorage
import PlatformTesting
import Processes
import Records
import Testing

@testable import Lake

/// A deployment's lake while its hours are sealed and merged, its files move to an object storage, and a server does without
/// its folder.
struct MovedLake {
    private let deployment: Deployment
    private let server: S3Server
    private let prefix = "moved"
    /// When retention is said to have given up all.
    static let givenUpMilliseconds: Int64 = 1_700_000_000_000
    /// Of every process that reads the lake from now on.
    let storage: [String: String]

    init(_ deployment: Deployment) throws {
        self.deployment = deployment
        server = try S3Server()
        let secret = deployment.file("s3-secret")
        try File.replace(secret, with: Array(S3Server.secretAccessKey.utf8))
        storage = [
            "LAKE_S3_BUCKET": S3Server.bucket, "LAKE_S3_ENDPOINT": server.endpoint, "LAKE_S3_REGION": S3Server.region,
            "LAKE_S3_PREFIX": prefix, "LAKE_S3_ACCESS_KEY_ID": S3Server.accessKeyID,
            "LAKE_S3_SECRET_ACCESS_KEY_FILE": secret,
        ]
    }

    /// Gives the stream job records one by one, so that there are commits to merge.
    static func commitOften(_ deployment: Deployment) throws {
        let producer = try KafkaProducer(deployment.kafka())
        for number in 0..<6 {
            try producer.send(
                topic: deployment.topic, partition: 0, key: nil, value: Array("{\"more\":\(number)}".utf8))
            #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
            // More than a commit's interval.
            usleep(300_000)
        }
    }

    private var layout: LakeLayout {
        let configuration = ObjectStorageConfiguration(
            endpoint: server.endpoint, bucket: S3Server.bucket, region: S3Server.region,
            accessKeyID: S3Server.accessKeyID, secretAccessKey: S3Server.secretAccessKey)
        return LakeLayout(
            root: deployment.lakeFolder,
            objects: LakeObjects(storage: ObjectStorage(configuration), prefix: prefix))
    }

    /// While no stream job runs: seals every hour, and merges the commit logs, which it would do only from a megabyte on.
    ///
    /// - Returns: by how many entries the logs are shorter.
    func sealAndMerge() throws -> Int {
        var merged = 0
        for source in try LakeReader(layout: layout).sources() {
            let before = try commits(source)
            var writer = try PartitionWriter.open(layout: layout, source: source, logBytesMin: 0)
            try writer.seal()
            merged += before - (try commits(source))
        }
        return merged
    }

    private func commits(_ source: TopicPartition) throws -> Int {
        var count = 0
        try CommitLog(reading: layout.commitLog(source)).forEach { record in
            if record.kind == .commit { count += 1 }
            return true
        }
        return count
    }

    /// Moves all files that are sealed: also those of the present hour, which `lake tier` leaves where they are.
    func move() throws {
        var moved = 0
        for source in try LakeReader(layout: layout).sources() {
            try Tiering(layout: layout).run(source, until: .max, isDryRun: false) { _, outcome in
                if case .moved = outcome { moved += 1 }
            }
        }
        #expect(moved > 0)
    }

    /// Starts a server that has the database, the broker and the bucket, and no folder of a lake.
    func serveWithoutFolder() throws -> API {
        let port = try TestPorts.free()
        try deployment.start(
            "serve", name: "serve-afar",
            environment: storage.merging([
                "EMBED_ENABLED": "false", "API_LISTEN": "127.0.0.1:\(port)", "LAKE_DIR": deployment.file("no-lake"),
            ]) {
                $1
            })
        let api = API(port: port)
        try deployment.wait(for: "the server without the lake") { try api.get("/health")["status"] != nil }
        return api
    }

    /// Lets the broker's records of the source's topic go.
    func trimTopic() throws {
        let consumer = try KafkaConsumer(deployment.kafka())
        for source in try LakeReader(layout: layout).sources() {
            let end = try consumer.watermarks(
                topic: source.topic, partition: source.partition, timeoutMilliseconds: 10_000
            ).high
            guard end > 0 else { continue }
            #expect(
                TopicTrim.delete(
                    brokers: deployment.brokers, topic: source.topic, partition: source.partition, before: end) == nil)
        }
    }

    /// Says in the bucket that retention gave up all Bronze, as `lake retain` does; the files go, too.
    func giveUpBronze() throws {
        let objects = try #require(layout.objects)
        let away = LakeLayout(root: deployment.file("given-up"), objects: objects)
        try Folder.create(away.root)
        for source in try LakeReader(layout: layout).sources() {
            let range = try #require(OffsetRange(start: 0, end: 1_000_000))
            try RetentionLog(layout: away, source: source).append(
                Expiry(
                    layer: .bronze, generation: nil, range: range, reason: "older than 30d",
                    atMilliseconds: Self.givenUpMilliseconds,
                    isRemoved: false))
            try LakeCopies(objects: objects, layout: away).put(of: source)
        }
        var keys: [String] = []
        try objects.storage.forEach(prefix: "\(prefix)/bronze/") { object in
            keys.append(object.key)
            return true
        }
        for key in keys { try objects.storage.delete(key) }
    }
}
