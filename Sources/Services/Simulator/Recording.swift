import Bytes
import Files
import JSONScan
import Zstd

/// A recorded stream in memory: `.sse` (raw server-sent events) or `.jsonl` (one event a line), either with `.zst`.
///
/// Payloads keep their bytes. Played again and again, every round after the first gets fresh ids: the first eight digits
/// of `meta.id` move on by a constant per round, so that real duplicates of the recording stay duplicates.
package final class Recording: PlayableSource {
    /// Most bytes of a recording after decompression: 2 GiB.
    package static let bytesMax = 2 << 30
    /// Longer silences of the recording are cut to this, in milliseconds: some recordings are joined from several.
    package static let gapMaxMilliseconds: Int64 = 2_000

    package let tail: [UInt8]
    private let path: String
    private let repeats: Bool
    private let blob: [UInt8]
    private let entries: [Entry]
    /// From the first event to one gap after the last, in milliseconds.
    private let roundMilliseconds: Int64

    private struct Entry {
        var start: Int
        var end: Int
        var timestamp: Int64 = 0
        var due: Int64 = 0
        /// Where the text of `meta.id` stands in the payload; -1 where it is not a UUID or not there.
        var idPosition: Int32 = -1
        var isCodfw = false
    }

    /// - Parameter repeats: whether the recording starts over, with fresh ids, after its last event.
    /// - Throws: ``SimulatorError`` for files that are missing, damaged, empty, too large or of an unknown kind.
    package init(path: String, repeats: Bool = false) throws {
        self.path = path
        self.repeats = repeats
        let isCompressed = path.hasSuffix(".zst")
        let name = isCompressed ? String(path.dropLast(4)) : path
        let raw = try Self.read(path, isCompressed: isCompressed)
        var blob: [UInt8] = []
        blob.reserveCapacity(raw.count)
        var entries: [Entry] = []
        func add(_ payload: some Sequence<UInt8>) {
            let start = blob.count
            blob.append(contentsOf: payload)
            entries.append(Entry(start: start, end: blob.count))
        }
        switch name.split(separator: ".").last {
        case "sse":
            let covered = raw.withUnsafeBytes { bytes in SSEFrames.forEach(in: bytes) { add($0) } }
            let rest = Array(raw[covered...])
            // Recorders are often stopped between the last data line and the blank line that ends the event.
            let last = try Self.wholeEvent(in: rest)
            if let last { add(last) }
            tail = last == nil ? rest : []
        case "jsonl", "ndjson", "json":
            for line in raw.split(separator: 0x0A) where line != [0x0D] {
                add(line.last == 0x0D ? line.dropLast() : line)
            }
            tail = []
        default:
            throw SimulatorError("play", path, "is neither .sse nor .jsonl (each possibly with .zst)")
        }
        guard !entries.isEmpty else { throw SimulatorError("play", path, "holds no event") }
        try Self.describe(&entries, blob)
        roundMilliseconds = Self.schedule(&entries)
        self.blob = blob
        self.entries = entries
    }

    /// Events in one round.
    package var eventCount: Int { entries.count }

    package var summary: String {
        "recording \(path), \(entries.count) events" + (repeats ? ", again and again with fresh ids" : "")
    }
    package var count: Int? { repeats ? nil : entries.count }
    package func due(_ index: Int) -> Int64 {
        entries[index % entries.count].due + Int64(index / entries.count) * roundMilliseconds
    }
    package func timestamp(_ index: Int) -> Int64 { entries[index % entries.count].timestamp }
    package func dataCentre(_ index: Int) -> Int { entries[index % entries.count].isCodfw ? 1 : 0 }
    package func firstIndex(atOrAfter timestamp: Int64) -> Int {
        entries.firstIndex { $0.timestamp >= timestamp } ?? entries.count
    }

    package func appendPayload(_ index: Int, to bytes: inout [UInt8]) {
        let entry = entries[index % entries.count]
        let start = bytes.count
        bytes.append(contentsOf: blob[entry.start..<entry.end])
        let round = index / entries.count
        if round > 0 && entry.idPosition >= 0 { Self.renew(&bytes, at: start + Int(entry.idPosition), round: round) }
    }

    // MARK: Loading

    private static func read(_ path: String, isCompressed: Bool) throws -> [UInt8] {
        let stored = try File.contents(of: path, bytesMax: bytesMax)
        guard isCompressed else { return stored }
        var result: [UInt8] = []
        var isTooLarge = false
        do {
            var decompressor = try StreamDecompressor()
            // In pieces, so that a hostile file is noticed before it fills the memory.
            for start in stride(from: 0, to: stored.count, by: 1 << 20) where !isTooLarge {
                try stored[start..<min(start + 1 << 20, stored.count)].withUnsafeBytes { piece in
                    try decompressor.feed(piece) { output in
                        if result.count + output.count > bytesMax { isTooLarge = true } else { result += output }
                    }
                }
            }
            if isTooLarge { throw SimulatorError("play", path, "has more than \(bytesMax) bytes") }
            guard decompressor.isAtFrameEnd else { throw SimulatorError("play", path, "ends in the middle of a frame") }
        } catch let error as ZstdError {
            throw SimulatorError("play", path, error.description)
        }
        return result
    }

    /// The data of a frame that lacks only its final blank line; nil where something of it is missing.
    private static func wholeEvent(in rest: [UInt8]) throws -> [UInt8]? {
        var data: [UInt8]?
        _ = (rest + [0x0A, 0x0A]).withUnsafeBytes { bytes in SSEFrames.forEach(in: bytes) { data = Array($0) } }
        var parser = try JSONFieldParser(paths: [])
        return data.flatMap { data in data.withUnsafeBytes { parser.parseObject($0) } == nil ? data : nil }
    }

    /// Reads time, identity and data centre of every event; events without keep the time of the one before.
    private static func describe(_ entries: inout [Entry], _ blob: [UInt8]) throws {
        var parser = try JSONFieldParser(paths: ["meta.dt", "timestamp", "meta.id", "meta.topic"])
        var latest: Int64 = 0
        for index in entries.indices {
            blob[entries[index].start..<entries[index].end].withUnsafeBytes { payload in
                guard parser.parseObject(payload) == nil else { return }
                let time = CivilTime.epochMilliseconds(rfc3339: parser.field(0).text)
                if let time {
                    latest = time
                } else if parser.field(1).kind == .integer {
                    latest = parser.field(1).integer * 1_000
                }
                let id = parser.field(2).text
                if id.count == 36, let position = firstPosition(of: UnsafeRawBufferPointer(id), in: payload) {
                    entries[index].idPosition = Int32(clamping: position)
                }
                entries[index].isCodfw = parser.field(3).text.starts(with: "codfw".utf8)
            }
            entries[index].timestamp = latest
        }
    }

    /// Spreads events over the time that the recording took. Recorded times have gone through clocks of many machines,
    /// so the latest time seen so far counts, and events of one second are spread evenly.
    private static func schedule(_ entries: inout [Entry]) -> Int64 {
        var clock: Int64 = 0
        var highest = entries[0].timestamp
        var groupStart = 0
        for index in 1...entries.count {
            let isEnd = index == entries.count
            guard isEnd || entries[index].timestamp > highest else { continue }
            let gap = isEnd ? 1_000 : min(entries[index].timestamp - highest, gapMaxMilliseconds)
            let spread = min(gap, 1_000)
            for member in groupStart..<index {
                entries[member].due = clock + spread * Int64(member - groupStart) / Int64(index - groupStart)
            }
            clock += gap
            groupStart = index
            if !isEnd { highest = entries[index].timestamp }
        }
        return clock
    }

    /// Adds a constant per round to the first eight hexadecimal digits.
    private static func renew(_ bytes: inout [UInt8], at position: Int, round: Int) {
        var value: UInt32 = 0
        for digit in bytes[position..<position + 8] {
            guard let nibble = Hex.digits.firstIndex(of: digit | 0x20) else { return }
            value = value << 4 | UInt32(nibble)
        }
        // Odd, so that 2³² rounds pass before an id comes back.
        value &+= UInt32(truncatingIfNeeded: round) &* 0x9E37_79B1
        for place in 0..<8 {
            bytes[position + place] = Hex.digits[Int(value >> UInt32(28 - place * 4) & 15)]
        }
    }
}
