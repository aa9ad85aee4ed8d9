import Bytes
import Forms
import Glibc
import Gzip
import HTTPEndpoints
import HTTPServer
import JSONScan
import KafkaAccess

/// The documents of one request's body, all of them looked at: one JSON object, or one a line.
struct IntakeBody: Sendable {
    /// One document.
    struct Line: Sendable {
        /// Where it lies in the body.
        var range: Range<Int>
        /// In the body as it was sent, from 1 on.
        var number: Int
        /// The record's key: the document's id, where it has one that can be a key.
        var key: [UInt8]?
    }

    /// What is taken.
    enum Bounds {
        /// A body as it is sent.
        static let packedBytesMax = 8 << 20
        /// The same unpacked.
        static let unpackedBytesMax = 16 << 20
        /// Documents of one request.
        static let linesMax = 10_000
        /// Lines of one request, blank ones among them: packed, millions of these take no room.
        static let physicalLinesMax = 100_000
        /// One document: what the logic takes, with room for its envelope.
        static let lineBytesMax = 1_000_000
        /// Objects and lists one within the other.
        static let depthMax = 64
        /// Lines of which one reply says what is wrong.
        static let faultsMax = 20
        /// Longer ids are no keys; the logic refuses their documents by name.
        static let keyBytesMax = 255
    }

    /// The types of bodies with one document or several.
    static let types = [MediaType.json, "application/x-ndjson"]

    /// Without its coding.
    let bytes: [UInt8]
    private(set) var lines: [Line]

    /// - Parameters:
    ///   - idPath: where a document's id stands.
    ///   - needsID: whether a document without an id is refused; else the logic does that.
    ///   - share: grows with what is unpacked, and with each document.
    /// - Throws: 400, 413, 415 or 422 with the numbers of lines that are wrong; 503 where there is no room.
    init(_ request: HTTPRequest, idPath: String, needsID: Bool, share: IntakeRoom.Share) throws {
        bytes = try Self.unpacked(request, share)
        let type = request.headers["content-type"].map(MediaType.essence(of:)) ?? MediaType.json
        lines = try type == MediaType.json ? Self.whole(bytes) : Self.split(bytes)
        try share.grow(by: lines.count * IntakeRoom.recordBytes)
        try check(idPath: idPath, needsID: needsID)
    }

    // MARK: Coding

    private static func unpacked(_ request: HTTPRequest, _ share: IntakeRoom.Share) throws(EndpointError) -> [UInt8] {
        let fields = request.headers.values("content-encoding")
        switch fields.count > 1 ? "several" : fields.first.map(MediaType.essence(of:)) ?? "identity" {
        case "identity", "": return request.body
        case "gzip", "x-gzip":
            do {
                return try request.body.withUnsafeBytes { try gunzip($0, share) }
            } catch let error as EndpointError {
                throw error
            } catch {
                throw damaged("\(error)")
            }
        default:
            throw EndpointError(
                status: 415, type: "unsupported_content_encoding",
                message: "a body may be sent plain or with Content-Encoding: gzip",
                headers: ["Accept-Encoding": "gzip, identity"])
        }
    }

    private static func gunzip(_ packed: UnsafeRawBufferPointer, _ share: IntakeRoom.Share) throws -> [UInt8] {
        guard var stream = InflateStream(.gzip) else {
            throw EndpointError(status: 503, type: "busy", message: "there is no memory to unpack the body")
        }
        var bytes: [UInt8] = []
        var position = 0
        while !stream.isDone {
            let before = position
            let count: Int
            do { count = try stream.step(packed, from: &position) } catch {
                throw damaged("its bytes are wrong, or their sum")
            }
            guard count > 0 || position > before || stream.isDone else { throw damaged("it ends too early") }
            guard bytes.count + count <= Bounds.unpackedBytesMax else {
                throw tooLarge("the body has more than \(Bounds.unpackedBytesMax) bytes once unpacked")
            }
            try share.grow(by: count)
            stream.withPiece(count) { bytes.append(contentsOf: $0) }
        }
        guard position == packed.count, stream.bytesBehind().isEmpty else {
            throw damaged("there are bytes after its end; send one gzip member")
        }
        return bytes
    }

    private static func damaged(_ why: String) -> EndpointError {
        EndpointError(status: 400, type: "gzip_invalid", message: "the body is not a gzip stream: \(why)")
    }

    private static func tooLarge(_ message: String, line: Int? = nil) -> EndpointError {
        EndpointError(
            status: 413, type: "body_too_large", message: message,
            faults: line.map { [fault("too_large", $0, message)] } ?? [])
    }

    private static func fault(_ type: String, _ line: Int, _ message: String) -> InputFault {
        InputFault(type: type, location: [.name("body"), .index(line)], message: message)
    }

    // MARK: Lines

    private static func missing() -> EndpointError {
        .invalid([InputFault(type: "missing", location: [.name("body")], message: "there is no document")])
    }

    private static func whole(_ bytes: [UInt8]) throws(EndpointError) -> [Line] {
        guard !bytes.isEmpty else { throw missing() }
        guard bytes.count <= Bounds.lineBytesMax else {
            throw tooLarge("the document has more than \(Bounds.lineBytesMax) bytes", line: 1)
        }
        return [Line(range: 0..<bytes.count, number: 1)]
    }

    /// The lines that are not blank.
    private static func split(_ bytes: [UInt8]) throws(EndpointError) -> [Line] {
        var lines: [Line] = []
        var (start, number) = (0, 0)
        while start < bytes.count {
            let end = bytes.withUnsafeBytes { all -> Int in
                let rest = UnsafeRawBufferPointer(rebasing: all[start...])
                guard let base = rest.baseAddress, let found = memchr(base, 0x0A, rest.count) else { return all.count }
                return start + (UnsafeRawPointer(found) - base)
            }
            number += 1
            guard number <= Bounds.physicalLinesMax else {
                throw tooLarge("the body has more than \(Bounds.physicalLinesMax) lines, blank ones among them")
            }
            var last = end
            while last > start, isSpace(bytes[last - 1]) { last -= 1 }
            if last > start {
                guard lines.count < Bounds.linesMax else {
                    throw tooLarge("the body has more than \(Bounds.linesMax) documents")
                }
                guard last - start <= Bounds.lineBytesMax else {
                    throw tooLarge("line \(number) has more than \(Bounds.lineBytesMax) bytes", line: number)
                }
                lines.append(Line(range: start..<last, number: number))
            }
            start = end + 1
        }
        guard !lines.isEmpty else { throw missing() }
        return lines
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    // MARK: Documents

    /// Looks at every line and takes the keys out; all or nothing.
    private mutating func check(idPath: String, needsID: Bool) throws {
        var parser = try JSONFieldParser(
            paths: [idPath], depthMax: Bounds.depthMax, documentBytesMax: Bounds.lineBytesMax)
        var faults: [InputFault] = []
        var refused = 0
        for index in lines.indices {
            let line = lines[index]
            let error = bytes.withUnsafeBytes { all in
                parser.parseObject(UnsafeRawBufferPointer(rebasing: all[line.range]))
            }
            if let error {
                refused += 1
                if faults.count < Bounds.faultsMax { faults.append(Self.fault(error, line.number)) }
                continue
            }
            let key = Self.key(parser.field(0))
            lines[index].key = key
            guard needsID, key == nil || key?.contains(0) == true else { continue }
            refused += 1
            if faults.count < Bounds.faultsMax {
                faults.append(
                    Self.fault(
                        "missing", line.number,
                        "has no id at `\(idPath)`: a text of 1 to \(Bounds.keyBytesMax) bytes without U+0000, or a whole number"
                    ))
            }
        }
        guard refused == 0 else {
            let what = needsID ? "are not JSON objects with an id" : "are not JSON objects"
            throw EndpointError(
                status: 422, type: "lines_refused",
                message: "\(refused) of \(lines.count) lines \(what); nothing was taken", faults: faults)
        }
    }

    private static func key(_ id: JSONField) -> [UInt8]? {
        switch id.kind {
        case .string where !id.text.isEmpty && id.text.count <= Bounds.keyBytesMax: return Array(id.text)
        case .integer:
            var key: [UInt8] = []
            Decimal.append(id.integer, to: &key)
            return key
        default: return nil
        }
    }

    private static func fault(_ error: JSONError, _ line: Int) -> InputFault {
        switch error.kind {
        case .invalidUTF8: fault("utf8_invalid", line, "is not UTF-8")
        case .tooDeep:
            fault("too_deep", line, "has more than \(Bounds.depthMax) objects and lists one within the other")
        case .notAnObject: fault("object_type", line, "is JSON, but not an object")
        default:
            fault(
                "json_invalid", line,
                "is not JSON: \(error); several documents go one a line, with Content-Type: application/x-ndjson")
        }
    }
}
