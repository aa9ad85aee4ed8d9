import CCurl
import Glibc

/// An easy handle inside a multi handle, with the connections it keeps alive. One transfer at a time.
///
/// libcurl's handles may move between threads but not be used by two at once; `curl_multi_wakeup` alone is safe from
/// anywhere (libcurl-thread(3), curl_multi_wakeup(3)).
final class CurlHandle {
    let easy: UnsafeMutableRawPointer
    let multi: UnsafeMutableRawPointer
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var headerList: UnsafeMutablePointer<curl_slist>?
    /// Lives as long as libcurl may read from it.
    private var upload: UploadSource?

    /// Before any other call of libcurl, once per process.
    private static let globalState = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    /// Nil when libcurl has no memory.
    init?() {
        guard Self.globalState == CURLE_OK, let easy = curl_easy_init() else { return nil }
        guard let multi = curl_multi_init() else {
            curl_easy_cleanup(easy)
            return nil
        }
        self.easy = easy
        self.multi = multi
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_multi_cleanup(multi)
        curl_slist_free_all(headerList)
        errorText.deallocate()
    }

    /// libcurl's words about the last failure, or its general text for `code`.
    func errorText(_ code: CURLcode) -> String {
        let text = String(cString: errorText)
        return text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
    }

    var status: Int {
        var value = 0
        _ = medallion_curl_get_long(easy, CURLINFO_RESPONSE_CODE, &value)
        return value
    }

    /// Forgets the last transfer's options and sets those of `request`; connections stay.
    func prepare(
        _ request: HTTPClientRequest, _ configuration: HTTPClientConfiguration, sink: TransferSink
    ) throws(HTTPClientError) {
        curl_easy_reset(easy)
        curl_slist_free_all(headerList)
        headerList = nil
        upload = nil
        errorText[0] = 0
        var setter = Setter(easy: easy)
        setter.set(CURLOPT_ERRORBUFFER, pointer: errorText)
        setter.set(CURLOPT_NOSIGNAL, 1)
        setter.set(CURLOPT_PROTOCOLS_STR, "http,https")
        setter.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        // With HTTP/2 a window of 32 MB would stand between the reader's pace and the sender.
        setter.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        setter.set(CURLOPT_SSL_VERIFYPEER, 1)
        setter.set(CURLOPT_SSL_VERIFYHOST, 2)
        if let file = configuration.certificateAuthorities { setter.set(CURLOPT_CAINFO, file) }
        setter.set(CURLOPT_NOPROXY, Self.noProxy)
        setter.set(CURLOPT_URL, request.url)
        setter.set(CURLOPT_USERAGENT, configuration.userAgent)
        setter.set(CURLOPT_FOLLOWLOCATION, request.redirectsMax > 0 ? 1 : 0)
        setter.set(CURLOPT_MAXREDIRS, request.redirectsMax)
        set(methodAndBodyOf: request, &setter)
        set(signatureOf: request, &setter)
        try setHeaders(request)
        _ = medallion_curl_set_list(easy, CURLOPT_HTTPHEADER, headerList)
        let context = Unmanaged.passUnretained(sink).toOpaque()
        setter.set(CURLOPT_WRITEDATA, pointer: context)
        setter.set(CURLOPT_HEADERDATA, pointer: context)
        setter.set(CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            let sink = Unmanaged<TransferSink>.fromOpaque(context).takeUnretainedValue()
            return sink.take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        setter.set(CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            let sink = Unmanaged<TransferSink>.fromOpaque(context).takeUnretainedValue()
            return sink.takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        guard setter.failure == CURLE_OK else {
            throw HTTPClientError(
                kind: .library, subject: request.subject, detail: String(cString: curl_easy_strerror(setter.failure)))
        }
    }

    /// Loopback never goes through a proxy; otherwise what the environment says.
    private static let noProxy: String = {
        let set = (getenv("no_proxy") ?? getenv("NO_PROXY")).map { String(cString: $0) } ?? ""
        return set == "*" ? set : (set.isEmpty ? "" : set + ",") + "localhost,127.0.0.1,::1"
    }()

    private func set(signatureOf request: HTTPClientRequest, _ setter: inout Setter) {
        if let signature = request.signature {
            setter.set(CURLOPT_AWS_SIGV4, signature.scope)
            setter.set(CURLOPT_USERNAME, signature.accessKeyID)
            setter.set(CURLOPT_PASSWORD, signature.secretAccessKey)
        }
        if let seconds = request.stallSecondsMax {
            setter.set(CURLOPT_LOW_SPEED_LIMIT, 1)
            setter.set(CURLOPT_LOW_SPEED_TIME, seconds)
        }
    }

    private func set(methodAndBodyOf request: HTTPClientRequest, _ setter: inout Setter) {
        if let upload = request.upload {
            let source = UploadSource(upload)
            self.upload = source
            let context = Unmanaged.passUnretained(source).toOpaque()
            setter.set(CURLOPT_UPLOAD, 1)
            setter.set(CURLOPT_INFILESIZE_LARGE, size: upload.bytes)
            setter.set(CURLOPT_READDATA, pointer: context)
            setter.set(CURLOPT_SEEKDATA, pointer: context)
            setter.set(CURLOPT_READFUNCTION) { bytes, size, count, context in
                guard let bytes, let context else { return Int(CURL_READFUNC_ABORT) }
                let source = Unmanaged<UploadSource>.fromOpaque(context).takeUnretainedValue()
                return source.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
            }
            setter.setSeek { context, offset, origin in
                guard let context, origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
                Unmanaged<UploadSource>.fromOpaque(context).takeUnretainedValue().position = Int(offset)
                return CURL_SEEKFUNC_OK
            }
            return
        }
        if let body = request.body {
            setter.set(CURLOPT_POSTFIELDSIZE_LARGE, size: body.count)
            body.withUnsafeBytes { bytes in
                // Copied by libcurl; for an empty body any non-null pointer will do.
                let empty: StaticString = ""
                let start = bytes.baseAddress ?? UnsafeRawPointer(empty.utf8Start)
                setter.set(CURLOPT_COPYPOSTFIELDS, pointer: UnsafeMutableRawPointer(mutating: start))
            }
        }
        switch (request.method, request.body == nil) {
        case ("GET", true): setter.set(CURLOPT_HTTPGET, 1)
        case ("HEAD", true): setter.set(CURLOPT_NOBODY, 1)
        case ("POST", false): break
        default: setter.set(CURLOPT_CUSTOMREQUEST, request.method)
        }
    }

    private func setHeaders(_ request: HTTPClientRequest) throws(HTTPClientError) {
        // Without it libcurl waits a second for 100 Continue before it sends a larger body. libcurl 7.88 would sign a
        // header that is only taken out, and S3 knows 100 Continue.
        if request.signature == nil { headerList = curl_slist_append(headerList, "Expect:") }
        let asks = request.headers.contains { $0.name.lowercased() == "accept-encoding" }
        // Without the header any encoding is welcome (RFC 9110, section 12.5.3), and proxies take that at its word.
        let isIdentityWanted = request.contentCoding == .undone && !asks
        let extra = isIdentityWanted ? [(name: "Accept-Encoding", value: "identity")] : []
        for (name, value) in request.headers + extra {
            let isProper =
                !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
                && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
            guard isProper else {
                throw HTTPClientError(
                    kind: .invalidRequest, subject: request.subject,
                    detail: "the header \(name.debugDescription) has a character that is not allowed")
            }
            // `Name;` is libcurl's way to send an empty value.
            guard let longer = curl_slist_append(headerList, value.isEmpty ? "\(name);" : "\(name): \(value)") else {
                throw HTTPClientError(kind: .library, subject: request.subject, detail: "out of memory")
            }
            headerList = longer
        }
    }
}

/// Sets options and remembers the first failure.
private struct Setter {
    let easy: UnsafeMutableRawPointer
    var failure = CURLE_OK

    private mutating func note(_ code: CURLcode) {
        if failure == CURLE_OK { failure = code }
    }

    mutating func set(_ option: CURLoption, _ value: Int) { note(medallion_curl_set_long(easy, option, value)) }

    mutating func set(_ option: CURLoption, size: Int) { note(medallion_curl_set_size(easy, option, size)) }

    mutating func set(_ option: CURLoption, _ value: String) { note(medallion_curl_set_string(easy, option, value)) }

    mutating func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer) {
        note(medallion_curl_set_pointer(easy, option, pointer))
    }

    mutating func setSeek(_ callback: @escaping medallion_curl_seek_callback) {
        note(medallion_curl_set_seek_callback(easy, callback))
    }

    mutating func set(_ option: CURLoption, _ callback: @escaping medallion_curl_data_callback) {
        note(medallion_curl_set_data_callback(easy, option, callback))
    }
}

/// What libcurl's read callback takes a request's body from.
private final class UploadSource {
    private let upload: HTTPClientUpload
    var position = 0

    init(_ upload: HTTPClientUpload) { self.upload = upload }

    /// - Returns: bytes read, or libcurl's word for giving up.
    func read(into room: UnsafeMutableRawBufferPointer) -> Int {
        let wanted = min(room.count, upload.bytes - position)
        guard wanted > 0 else { return 0 }
        while true {
            let count = pread(upload.descriptor, room.baseAddress, wanted, off_t(position))
            if count > 0 {
                position += count
                return count
            }
            // The end of a file that should be longer is as bad as a failed read.
            if count == 0 || errno != EINTR { return Int(CURL_READFUNC_ABORT) }
        }
    }
}

/// Where libcurl's callbacks put a reply until the caller takes it: outside of libcurl, where it may block and throw.
final class TransferSink {
    private let followsRedirects: Bool
    private let bodyBytesMax: Int?
    /// The reply's head, once it is complete; an interim one or one that is followed does not count.
    private(set) var head: (status: Int, headers: HTTPClientHeaders)?
    /// What arrived since the caller last took it.
    private(set) var body: [UInt8] = []
    private(set) var isTooLarge = false
    /// Counts everything, for the stall clock.
    private(set) var bytesTotal = 0
    private var status = 0
    private var headers = HTTPClientHeaders()
    private var headerBytes = 0
    private static let headerBytesMax = 262_144

    /// - Parameter bodyBytesMax: nil for a stream, whose body is taken as it comes.
    init(followsRedirects: Bool, bodyBytesMax: Int?) {
        self.followsRedirects = followsRedirects
        self.bodyBytesMax = bodyBytesMax
    }

    /// False ends the transfer.
    func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytesTotal += bytes.count
        if let bodyBytesMax, body.count + bytes.count > bodyBytesMax {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    /// One line with its line end, as libcurl cuts them; false ends the transfer.
    func takeHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytesTotal += bytes.count
        headerBytes += bytes.count
        guard headerBytes <= Self.headerBytesMax else {
            isTooLarge = true
            return false
        }
        var line = bytes[...]
        while line.last == 0x0A || line.last == 0x0D { line = line.dropLast() }
        if line.isEmpty {
            endHead()
        } else if line.starts(with: "HTTP/".utf8) {
            headers = HTTPClientHeaders()
            status =
                line.split(separator: 0x20).dropFirst().first.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
        } else if let colon = line.firstIndex(of: UInt8(ascii: ":")), head == nil {
            let name = String(decoding: line[..<colon], as: UTF8.self)
            let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
            var value = line[(colon + 1)...].drop(while: isBlank)
            while let last = value.last, isBlank(last) { value = value.dropLast() }
            headers.fields.append((name, String(decoding: value, as: UTF8.self)))
        }
        return true
    }

    private func endHead() {
        // Trailers end in an empty line too.
        guard head == nil, status >= 200 else { return }
        if followsRedirects, (300..<400).contains(status), headers["Location"] != nil { return }
        head = (status, headers)
    }

    /// Hands out what arrived; the storage is given back by ``reuse(_:)``.
    func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }

    func reuse(_ storage: consuming [UInt8]) {
        guard body.isEmpty, storage.capacity <= 4 * 1_048_576 else { return }
        body = storage
        body.removeAll(keepingCapacity: true)
    }
}
