import Files

/// Gives out producer ids that no other producer of this broker ever had. They are reserved on disk by the thousand, so
/// a crash loses some numbers but never gives one twice. Used by the storage thread alone.
struct ProducerIDs {
    static let fileName = "producer-ids.meta"
    private static let magic: UInt64 = 0x3153_4449_5044_454D  // "MEDPIDS1", little-endian
    private static let blockCount: Int64 = 1_000

    private let path: String
    private var next: Int64
    /// Ids below it are reserved on disk.
    private var reservedEnd: Int64

    init(folder: String) throws {
        path = folder + "/" + Self.fileName
        next = 1
        if Folder.exists(path) {
            let bytes = try File.contents(of: path)
            var reader = LittleEndianReader(bytes)
            guard LittleEndianReader.hasSoundSum(bytes), let magic: UInt64 = reader.next(), magic == Self.magic,
                let end: Int64 = reader.next(), end >= 1
            else {
                throw BrokerError(
                    operation: "read", subject: path, reason: "its checksum or content is wrong",
                    hint: "restore it from a backup; without it a new producer could be taken for an old one")
            }
            next = end
        }
        reservedEnd = next
    }

    mutating func take() throws(FileError) -> Int64 {
        if next == reservedEnd {
            var bytes = LittleEndianBytes()
            bytes.append(Self.magic)
            bytes.append(reservedEnd + Self.blockCount)
            bytes.appendSum()
            try File.replace(path, with: bytes.bytes)
            reservedEnd += Self.blockCount
        }
        defer { next += 1 }
        return next
    }
}
