import Gzip
import Zstd

/// Why a reply's body cannot be read as its `Content-Encoding` says.
enum ContentFault: Error, Equatable {
    /// One that is not undone here, as the reply names it.
    case unknown(String)
    /// The body is not in that encoding, or was damaged.
    case damaged(String)
    /// More comes out than any honest body of that size holds.
    case tooMuch(String)
    case outOfMemory
}

/// Undoes the encodings of one reply's body (RFC 9110, section 8.4.1), piece by piece as the bytes come.
///
/// libcurl would do it as well, but within its own calls, where neither the caller's pace nor a bound on what comes out can
/// reach, for one gzip member only, and without a word about a body that is cut in the middle.
final class ContentDecoder {
    /// As the reply names them, such as `gzip`.
    let name: String
    /// In the order in which they are undone.
    private let stages: [any ContentStage]
    private var bytesIn = 0
    private var bytesOut = 0

    /// Encodings on top of each other that are undone; each has memory of its own.
    static let stagesMax = 3
    /// What may come out of a body besides ``ratioMax`` times its size.
    static let bytesFree = 16 << 20
    /// Event streams shrink to a tenth; a few bytes that become gigabytes are somebody's trap.
    static let ratioMax = 250

    /// Nil where the body stands as it is.
    init?(_ headers: HTTPClientHeaders) throws(ContentFault) {
        let names = Self.codings(headers)
        guard !names.isEmpty else { return nil }
        name = names.joined(separator: ", ")
        guard names.count <= Self.stagesMax else { throw .unknown(name) }
        var stages: [any ContentStage] = []
        for coding in names.reversed() { stages.append(try Self.stage(coding)) }
        self.stages = stages
    }

    /// The encodings in the order in which they were applied, without those that change nothing.
    static func codings(_ headers: HTTPClientHeaders) -> [String] {
        var names: [String] = []
        for field in headers.fields where field.name.lowercased() == "content-encoding" {
            for part in field.value.split(separator: ",") {
                let name = part.filter { $0 != " " && $0 != "\t" }.lowercased()
                if !name.isEmpty, name != "identity" { names.append(String(name.prefix(64))) }
            }
        }
        return names
    }

    private static func stage(_ coding: String) throws(ContentFault) -> any ContentStage {
        switch coding {
        case "gzip", "x-gzip": return try InflateStage(coding, isGzip: true)
        case "deflate": return try InflateStage(coding, isGzip: false)
        case "zstd": return try ZstdStage()
        default: throw .unknown(coding)
        }
    }

    /// Takes the next bytes of the body and lends what comes out of them, all of it and in pieces of at most 128 KiB.
    ///
    /// - Throws: ``ContentFault``, or what `body` throws.
    func feed(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        bytesIn += bytes.count
        try feed(bytes, stage: 0, body)
    }

    private func feed(
        _ bytes: UnsafeRawBufferPointer, stage: Int, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try stages[stage].feed(bytes) { piece in
            // Also between the stages, where what comes out of one may be nothing to the next.
            bytesOut += piece.count
            let limit = Self.bytesFree + bytesIn * Self.ratioMax
            guard bytesOut <= stages.count * limit else { throw ContentFault.tooMuch(name) }
            if stage + 1 < stages.count { try feed(piece, stage: stage + 1, body) } else { try body(piece) }
        }
    }

    /// False where the body ends in the middle of something. A body without a byte is whole.
    var isWhole: Bool { stages.allSatisfy(\.isWhole) }
}

/// One encoding being undone.
private protocol ContentStage: AnyObject {
    /// Takes the next bytes and lends what comes out.
    func feed(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws
    var isWhole: Bool { get }
}

/// gzip, of any number of members, or deflate, with zlib's wrapper (as RFC 9110 has it) or without (as some servers send
/// it, and every browser reads it).
private final class InflateStage: ContentStage {
    private let coding: String
    private let isGzip: Bool
    private var stream: InflateStream
    /// A deflate body's first bytes, until they tell whether it has a wrapper.
    private var start: [UInt8] = []
    private var isBegun = false
    private var isAtEnd = false

    init(_ coding: String, isGzip: Bool) throws(ContentFault) {
        self.coding = coding
        self.isGzip = isGzip
        guard let stream = InflateStream(isGzip ? .gzip : .zlib) else { throw .outOfMemory }
        self.stream = stream
    }

    var isWhole: Bool { isAtEnd || !isBegun && start.isEmpty }

    func feed(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard !isGzip, !isBegun else { return try unpack(bytes, body) }
        let taken = bytes.prefix(2 - start.count)
        start.append(contentsOf: taken)
        guard start.count == 2 else { return }
        if !Self.isZlibHeader(start[0], start[1]) { stream.begin(.none) }
        let first = start
        try first.withUnsafeBytes { try unpack($0, body) }
        try unpack(UnsafeRawBufferPointer(rebasing: bytes[taken.count...]), body)
    }

    /// RFC 1950, section 2.2: method 8, a window of at most 32 KiB, no dictionary, and a multiple of 31.
    private static func isZlibHeader(_ first: UInt8, _ second: UInt8) -> Bool {
        first & 0x0F == 8 && first >> 4 <= 7 && second & 0x20 == 0 && (Int(first) << 8 | Int(second)) % 31 == 0
    }

    private func unpack(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var position = 0
        while true {
            if isAtEnd {
                // What may follow: another member, or the zeros that some writers fill up with.
                while position < bytes.count, bytes[position] == 0 { position += 1 }
                guard position < bytes.count else { return }
                guard isGzip else { throw ContentFault.damaged(coding) }
                stream.begin(.gzip)
                isAtEnd = false
            }
            guard position < bytes.count || isBegun else { return }
            let count = try step(bytes, from: &position)
            if count > 0 { try stream.withPiece(count, body) }
            if stream.isDone {
                isAtEnd = true
                let behind = stream.bytesBehind()
                try behind.withUnsafeBytes { if !$0.isEmpty { try unpack($0, body) } }
            } else if count < InflateStream.pieceBytes, position == bytes.count {
                return
            }
        }
    }

    private func step(_ bytes: UnsafeRawBufferPointer, from position: inout Int) throws -> Int {
        let before = position
        isBegun = isBegun || position < bytes.count
        let count: Int
        do { count = try stream.step(bytes, from: &position) } catch { throw ContentFault.damaged(coding) }
        // Neither taken nor given, and not at an end: it would go on like this for ever.
        guard count > 0 || position > before || stream.isDone || position == bytes.count else {
            throw ContentFault.damaged(coding)
        }
        return count
    }
}

/// zstd (RFC 8878), of any number of frames.
private final class ZstdStage: ContentStage {
    private var stream: StreamDecompressor
    /// RFC 9659: over HTTP a frame's window is 8 MB at most.
    private static let windowBytesLog: Int32 = 23

    init() throws(ContentFault) {
        do throws(ZstdError) {
            stream = try StreamDecompressor(windowBytesLog: Self.windowBytesLog)
        } catch {
            throw .outOfMemory
        }
    }

    var isWhole: Bool { stream.isAtFrameEnd }

    func feed(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var position = 0
        while true {
            let count: Int
            do { count = try stream.step(bytes, from: &position) } catch { throw ContentFault.damaged("zstd") }
            if count > 0 { try stream.withPiece(count, body) }
            if position == bytes.count, count < stream.pieceBytes { return }
        }
    }
}
