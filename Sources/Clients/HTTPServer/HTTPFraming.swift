/// What decides the framing of a request, gathered while its fields are read.
struct FramingFields {
    private var contentLength: String?
    private var transferEncoding: String?
    private var host: String?
    private var mustClose = false
    private var mustKeepAlive = false
    private var expectation: String?

    mutating func note(_ field: HTTPHeaders.Field) throws(HTTPFault) {
        switch field.name {
        case "host":
            guard host == nil else { throw .badHeader("host", "Host is given twice") }
            host = field.value
        case "content-length":
            // Equal ones could be merged; a client that sends two is not worth the risk.
            guard contentLength == nil else { throw .badHeader("content-length", "Content-Length is given twice") }
            contentLength = field.value
        case "transfer-encoding":
            guard transferEncoding == nil else {
                throw .badHeader("transfer-encoding", "Transfer-Encoding is given twice")
            }
            transferEncoding = field.value
        case "connection":
            for option in field.value.utf8.split(separator: UInt8(ascii: ",")) {
                let word = String(decoding: option.filter { !isBlank($0) }.map(lowered), as: UTF8.self)
                if word == "close" { mustClose = true }
                if word == "keep-alive" { mustKeepAlive = true }
            }
        case "expect":
            expectation = field.value
        default:
            break
        }
    }

    func apply(to head: inout HTTPRequestHead) throws(HTTPFault) {
        if head.minorVersion == 1, host == nil { throw .badHeader("host", "Host is missing") }
        if let host, !Self.isProperHost(host) { throw .badHeader("host", "Host is not a host and port") }
        head.isKeptAlive = !mustClose && (head.minorVersion == 1 || mustKeepAlive)
        if let transferEncoding {
            guard contentLength == nil else {
                throw .badHeader("transfer-encoding", "Transfer-Encoding and Content-Length are both given")
            }
            guard head.minorVersion == 1 else {
                throw .badHeader("transfer-encoding", "HTTP/1.0 has no Transfer-Encoding")
            }
            try Self.checkCoding(transferEncoding)
            head.framing = .chunked
        } else if let contentLength {
            let digits = contentLength.utf8
            guard (1...15).contains(digits.count), digits.allSatisfy(isDigit), let length = Int(contentLength) else {
                throw .badHeader("content-length", "Content-Length is not a number of bytes")
            }
            head.framing = length == 0 ? .none : .length(length)
        }
        if let expectation {
            guard expectation.utf8.map(lowered).elementsEqual("100-continue".utf8) else {
                throw HTTPFault(
                    status: 417, type: "expectation_failed", loc: ["header", "expect"],
                    message: "only 100-continue can be expected")
            }
            head.expectsContinue = head.minorVersion == 1 && head.framing != .none
        }
    }

    private static func checkCoding(_ value: String) throws(HTTPFault) {
        let codings = value.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { coding in
            String(
                decoding: coding.drop(while: isBlank).reversed().drop(while: isBlank).reversed().map(lowered),
                as: UTF8.self)
        }
        if codings == ["chunked"] { return }
        let areKnown = codings.allSatisfy {
            ["gzip", "x-gzip", "deflate", "compress", "x-compress", "chunked"].contains($0)
        }
        guard areKnown, codings.last == "chunked", codings.filter({ $0 == "chunked" }).count == 1 else {
            throw .badHeader("transfer-encoding", "Transfer-Encoding is not chunked")
        }
        throw HTTPFault(
            status: 501, type: "not_implemented", loc: ["header", "transfer-encoding"],
            message: "the only transfer coding that is understood is chunked")
    }

    /// The characters of `uri-host [":" port]` of RFC 3986; not its whole grammar.
    private static func isProperHost(_ host: String) -> Bool {
        host.utf8.allSatisfy { byte in
            isDigit(byte) || lowered(byte) &- UInt8(ascii: "a") < 26 || "-._~!$&'()*+;=:[]%".utf8.contains(byte)
        }
    }
}

/// Takes the chunked coding off a body, RFC 9112 section 7.1, as it arrives. Extensions are skipped, trailers are
/// checked and dropped.
struct ChunkedDecoder {
    private enum State {
        case size
        case data(left: Int)
        case dataEnd
        case trailer
        case done
    }

    private var state = State.size
    private var trailerBytes = 0
    /// A chunk's size line with its extensions, or one trailer line.
    private static let lineBytesMax = 512
    private static let trailerBytesMax = 8_192

    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Appends decoded bytes to `body` and returns how many of `bytes` were used; more may be needed.
    mutating func decode(
        _ bytes: UnsafeRawBufferPointer, into body: inout [UInt8], bytesMax: Int
    ) throws(HTTPFault) -> Int {
        var used = 0
        while !isDone {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
            switch state {
            case .size:
                guard let line = try Self.line(rest) else { return used }
                let size = try Self.size(line)
                guard size <= bytesMax - body.count else { throw bodyTooLarge(bytesMax) }
                used += line.count + 2
                state = size == 0 ? .trailer : .data(left: size)
            case .data(let left):
                guard !rest.isEmpty else { return used }
                let count = min(left, rest.count)
                body.append(contentsOf: rest[..<count])
                used += count
                state = count == left ? .dataEnd : .data(left: left - count)
            case .dataEnd:
                guard rest.count >= 2 else { return used }
                guard rest[0] == 0x0D, rest[1] == 0x0A else {
                    throw .badRequest("a chunk does not end in CRLF", "body")
                }
                used += 2
                state = .size
            case .trailer:
                guard let line = try Self.line(rest) else { return used }
                used += line.count + 2
                trailerBytes += line.count + 2
                try checkTrailer(line)
                if line.isEmpty { state = .done }
            case .done:
                break
            }
        }
        return used
    }

    private func checkTrailer(_ line: UnsafeRawBufferPointer) throws(HTTPFault) {
        guard trailerBytes <= Self.trailerBytesMax else {
            throw HTTPFault(
                status: 431, type: "header_too_large", loc: ["trailer"],
                message: "trailers may have \(Self.trailerBytesMax) bytes")
        }
        guard !line.isEmpty else { return }
        let name = line.prefix { isToken($0) }
        guard !name.isEmpty, name.count < line.count, line[name.count] == UInt8(ascii: ":"),
            line.allSatisfy(isFieldByte)
        else { throw .badRequest("a trailer is malformed", "trailer") }
    }

    /// The bytes before the first CRLF; nil while there is none.
    private static func line(_ bytes: UnsafeRawBufferPointer) throws(HTTPFault) -> UnsafeRawBufferPointer? {
        guard let end = bytes.prefix(lineBytesMax + 2).firstIndex(of: 0x0A) else {
            guard bytes.count <= lineBytesMax else { throw .badRequest("a line of a chunked body is too long", "body") }
            return nil
        }
        guard end > 0, bytes[end - 1] == 0x0D else { throw .badRequest("a line ends in LF without CR", "body") }
        return UnsafeRawBufferPointer(rebasing: bytes[..<(end - 1)])
    }

    /// `chunk-size [chunk-ext]`
    private static func size(_ line: UnsafeRawBufferPointer) throws(HTTPFault) -> Int {
        var value = 0
        var count = 0
        while count < line.count, let digit = hexValue(line[count]) {
            guard count < 12 else { throw .badRequest("a chunk size is too long", "body") }
            value = value << 4 | Int(digit)
            count += 1
        }
        let rest = line[count...].drop(while: isBlank)
        guard count > 0, rest.first == UInt8(ascii: ";") || (rest.isEmpty && line.count == count),
            rest.allSatisfy(isFieldByte)
        else { throw .badRequest("a chunk size is malformed", "body") }
        return value
    }
}

func bodyTooLarge(_ bytesMax: Int) -> HTTPFault {
    HTTPFault(
        status: 413, type: "body_too_large", loc: ["body"], message: "a request's body may have \(bytesMax) bytes")
}
