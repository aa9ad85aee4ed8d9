import Files

/// A topic with its logs.
struct Topic: Sendable {
    var name: String
    var id: TopicID
    var configs: TopicConfigs
    var settings: LogSettings
    /// By partition number.
    var logs: [PartitionLog]

    func log(_ partition: Int32) -> PartitionLog? {
        partition >= 0 && Int(partition) < logs.count ? logs[Int(partition)] : nil
    }

    /// Kafka's rule: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
    static func isValidName(_ name: String) -> Bool {
        guard (1...249).contains(name.utf8.count), name != ".", name != ".." else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}

/// What `topics.meta` holds: which topics there are. Replaced as a whole (temporary file, fsync, rename, fsync of the
/// folder), so a topic exists from the moment of the rename, and what an interrupted creation left behind does not.
struct TopicCatalog: Equatable, Sendable {
    struct Entry: Equatable, Sendable {
        var name: String
        var id: TopicID
        var partitionCount: Int
        var configs: TopicConfigs
    }

    var clusterID: String
    var topics: [Entry]

    private static let magic: UInt64 = 0x3143_504F_5444_454D  // "MEDTOPC1", little-endian
    static let fileName = "topics.meta"
    static let partitionsMax = 1_024

    func encoded() -> [UInt8] {
        var bytes = LittleEndianBytes()
        bytes.append(Self.magic)
        bytes.append(clusterID)
        bytes.append(UInt32(topics.count))
        for topic in topics.sorted(by: { $0.name < $1.name }) {
            bytes.append(topic.name)
            bytes.append(topic.id.high)
            bytes.append(topic.id.low)
            bytes.append(UInt32(topic.partitionCount))
            bytes.append(UInt32(topic.configs.values.count))
            for (name, value) in topic.configs.values.sorted(by: { $0.key < $1.key }) {
                bytes.append(name)
                bytes.append(value)
            }
        }
        bytes.appendSum()
        return bytes.bytes
    }

    init(clusterID: String, topics: [Entry]) {
        self.clusterID = clusterID
        self.topics = topics
    }

    /// Reads a catalog; nil when it is damaged or of another kind.
    init?(decoding bytes: [UInt8]) {
        guard LittleEndianReader.hasSoundSum(bytes) else { return nil }
        var reader = LittleEndianReader(bytes, to: bytes.count - 4)
        guard let magic: UInt64 = reader.next(), magic == Self.magic, let clusterID = reader.nextText(),
            let count: UInt32 = reader.next()
        else { return nil }
        self.init(clusterID: clusterID, topics: [])
        for _ in 0..<count {
            guard let name = reader.nextText(), Topic.isValidName(name), let high: UInt64 = reader.next(),
                let low: UInt64 = reader.next(), let partitions: UInt32 = reader.next(),
                (1...Self.partitionsMax).contains(Int(partitions)), let configCount: UInt32 = reader.next()
            else { return nil }
            var configs = TopicConfigs()
            for _ in 0..<configCount {
                guard let key = reader.nextText(), let value = reader.nextText(),
                    (try? configs.set(key, value)) != nil
                else { return nil }
            }
            topics.append(
                Entry(name: name, id: TopicID(high: high, low: low), partitionCount: Int(partitions), configs: configs))
        }
        guard reader.remaining == 0 else { return nil }
    }

    /// Reads the folder's catalog, or begins one in an empty folder.
    static func open(folder: String) throws -> TopicCatalog {
        let path = folder + "/" + fileName
        guard Folder.exists(path) else {
            if let orphan = try Folder.list(folder).first(where: isLogFolder) {
                throw BrokerError(
                    operation: "open broker folder", subject: folder,
                    reason: "it holds logs (\(orphan)) but no \(fileName)",
                    hint: "restore \(fileName) from a backup, or give an empty folder")
            }
            let catalog = TopicCatalog(clusterID: newClusterID(), topics: [])
            try catalog.save(folder: folder)
            return catalog
        }
        guard let catalog = TopicCatalog(decoding: try File.contents(of: path)) else {
            throw BrokerError(
                operation: "read", subject: path, reason: "its checksum or content is wrong",
                hint: "restore it from a backup; the logs beside it are not touched")
        }
        return catalog
    }

    func save(folder: String) throws(FileError) {
        try File.replace(folder + "/" + Self.fileName, with: encoded())
    }

    /// At the end of the name of a log's folder that is about to be removed.
    static let deletedSuffix = ".deleted"

    /// `<topic>-<partition>`
    static func logFolder(_ topic: String, _ partition: Int) -> String { "\(topic)-\(partition)" }

    private static func isLogFolder(_ name: String) -> Bool {
        guard let dash = name.lastIndex(of: "-") else { return false }
        return Int32(name[name.index(after: dash)...]) != nil
    }

    /// 22 characters of URL-safe base 64, as Kafka's are.
    private static func newClusterID() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var generator = SystemRandomNumberGenerator()
        let characters = (0..<22).map { _ in alphabet[Int(generator.next(upperBound: UInt(alphabet.count)))] }
        return String(decoding: characters, as: UTF8.self)
    }
}
