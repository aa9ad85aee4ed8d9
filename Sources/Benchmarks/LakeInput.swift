import Bytes
import Files
import Ingest
import JSONScan
import Logic
import Records
import Simulator

/// Records as a topic partition would deliver them, in a file that the lake benchmark and its baseline both read.
///
/// Layout, all numbers little-endian, as `tools/bench/lake_baseline.cpp` describes it: u32 value length, u32 key length,
/// u32 headers length, i64 broker time in milliseconds; key; headers, each u32 name length, u32 value length, name,
/// value; value.
struct LakeInput: Sendable {
    let path: String
    /// The transform's language of each wiki that occurs, as lines `wiki code`.
    let languages: [UInt8]
    let count: Int
    /// Bytes of the values.
    let valueBytes: Int

    private static let headBytes = 20
    /// Written in pieces of this size.
    private static let pieceBytes = 8 << 20

    /// Takes `count` events of the source from `first` on. Broker times all lie in one lake hour.
    init(folder: String, name: String, source: any PlayableSource, first: Int, count: Int) throws {
        path = "\(folder)/\(name).records"
        self.count = count
        let file = try File(path, .create)
        var piece: [UInt8] = []
        var written = 0
        var bytes = 0
        var payload: [UInt8] = []
        var wikis: Set<[UInt8]> = []
        var parser = try JSONFieldParser(paths: ["wiki"], depthMax: 64)
        for index in first..<first + count {
            payload.removeAll(keepingCapacity: true)
            source.appendPayload(index, to: &payload)
            bytes += payload.count
            if payload.withUnsafeBytes({ parser.parseObject($0) }) == nil, parser.field(0).kind == .string {
                wikis.insert(Array(parser.field(0).text))
            }
            Self.append(payload, index: index, to: &piece)
            if piece.count >= Self.pieceBytes || index == first + count - 1 {
                try piece.withUnsafeBytes { try file.write($0, at: written) }
                written += piece.count
                piece.removeAll(keepingCapacity: true)
            }
        }
        valueBytes = bytes
        var table: [UInt8] = []
        for wiki in wikis where !wiki.isEmpty && !wiki.contains(where: { $0 <= 0x20 }) {
            table += wiki + [0x20] + wiki.withUnsafeBufferPointer { WikiLanguage.code(wiki: $0) } + [0x0A]
        }
        languages = table
    }

    /// The producer's key and headers beside the value.
    private static func append(_ payload: [UInt8], index: Int, to output: inout [UInt8]) {
        let position = #"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"offset":\#(5_960_000_000 + index)}]"#
        let time = broker(index)
        let key = Array("examplewiki:Title \(index)".utf8)
        var headers: [UInt8] = []
        for (name, value) in [
            (RecordHeaders.ingestTime, "\(time)"), (RecordHeaders.position, "\(index)"),
            (RecordHeaders.acknowledged, "\(index) \(position)"), (RecordHeaders.sseID, position),
        ] {
            append(UInt32(name.utf8.count), to: &headers)
            append(UInt32(value.utf8.count), to: &headers)
            headers += Array(name.utf8) + Array(value.utf8)
        }
        append(UInt32(payload.count), to: &output)
        append(UInt32(key.count), to: &output)
        append(UInt32(headers.count), to: &output)
        append(UInt64(bitPattern: time), to: &output)
        output += key
        output += headers
        output += payload
    }

    private static func append(_ value: some FixedWidthInteger, to output: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { output.append(contentsOf: $0) }
    }

    /// 2026-11-21T06:00:00Z and then a millisecond per hundred events: an hour holds 360 million.
    static func broker(_ index: Int) -> Int64 { 1_795_240_800_000 + Int64(index / 100) }

    /// Calls `body` with each record of a file that is in memory.
    static func forEach(
        _ bytes: UnsafeRawBufferPointer, source: TopicPartition,
        _ body: (borrowing SourceRecord) throws -> Void
    ) rethrows {
        var at = 0
        var offset: Int64 = 0
        var headers = RecordHeaderText()
        while at + headBytes <= bytes.count {
            func number(_ place: Int) -> Int {
                Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
            }
            func piece(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
            }
            let (valueCount, keyCount, headersCount) = (number(at), number(at + 4), number(at + 8))
            let time = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 12, as: Int64.self))
            let key = at + headBytes
            let headersStart = key + keyCount
            let value = headersStart + headersCount
            headers.removeAll()
            var header = headersStart
            while header < value {
                let (nameCount, contentCount) = (number(header), number(header + 4))
                headers.add(
                    piece(header + 8, nameCount).bindMemory(to: UInt8.self),
                    piece(header + 8 + nameCount, contentCount))
                header += 8 + nameCount + contentCount
            }
            try headers.json.withUnsafeBytes { json in
                try body(
                    SourceRecord(
                        topic: source.topic, partition: source.partition, offset: offset, timestampMilliseconds: time,
                        key: piece(key, keyCount), headers: json, origin: headers.origin,
                        value: piece(value, valueCount)))
            }
            offset += 1
            at = value + valueCount
        }
    }
}
