import Files

/// The log start offset where DeleteRecords moved it into a segment: `log-start.meta` in the log's folder, replaced as
/// a whole. Without the file the log starts with its first segment.
enum LogStart {
    private static let name = "log-start.meta"
    private static let magic: UInt64 = 0x3154_5253_5444_454D  // "MEDTSRT1", little-endian

    static func save(_ offset: Int64, folder: String) throws(FileError) {
        var bytes = LittleEndianBytes()
        bytes.append(magic)
        bytes.append(offset)
        bytes.appendSum()
        try File.replace(folder + "/" + name, with: bytes.bytes)
    }

    /// - Returns: nil where records were never deleted.
    static func load(folder: String) throws -> Int64? {
        let path = folder + "/" + name
        guard Folder.exists(path) else { return nil }
        let bytes = try File.contents(of: path, bytesMax: 1_024)
        var reader = LittleEndianReader(bytes)
        guard LittleEndianReader.hasSoundSum(bytes), let magic: UInt64 = reader.next(), magic == Self.magic,
            let offset: Int64 = reader.next(), offset >= 0
        else {
            throw BrokerError(
                operation: "read", subject: path, reason: "its checksum or content is wrong",
                hint: "remove the file: the log then starts with its first segment, deleted records show again")
        }
        return offset
    }
}
