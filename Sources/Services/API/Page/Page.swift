import Bytes
import Gzip
import HTTPEndpoints
import HTTPServer

/// A file of the page, out of the executable, with the validator that lets a client ask whether it changed.
struct PageFile: Sendable {
    let body: [UInt8]
    let contentType: String
    /// A strong entity tag: FNV-1a of the bytes.
    let tag: String
    /// The same compressed, once; nil where that does not pay.
    let compressed: [UInt8]?

    init(_ body: [UInt8], _ contentType: String) {
        self.body = body
        self.contentType = contentType
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in body { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        tag = "\"\(String(hash, radix: 16))\""
        compressed = body.count >= Compression.bytesMin ? Gzip.compress(body) : nil
    }

    /// The reply to a request that may name a tag it knows already (RFC 9110, section 13.1.2).
    func response(to request: HTTPRequest) -> HTTPResponse {
        // Each coding has a tag of its own (RFC 9110, section 8.8.3.3).
        let coded = Compression.isWanted(by: request) ? compressed : nil
        let tag = coded == nil ? self.tag : self.tag.dropLast() + "-gzip\""
        var headers: HTTPHeaders = [
            "Content-Security-Policy": Page.contentSecurityPolicy, "Cache-Control": "no-cache", "ETag": tag,
            "Vary": "Accept-Encoding",
        ]
        if let known = request.headers["if-none-match"], Self.names(tag, known) {
            return HTTPResponse(status: 304, headers: headers)
        }
        headers.add("Content-Type", contentType)
        if coded != nil { headers.add("Content-Encoding", "gzip") }
        return HTTPResponse(headers: headers, body: coded ?? body)
    }

    private static func names(_ tag: String, _ field: String) -> Bool {
        field.utf8.split(separator: UInt8(ascii: ",")).contains { part in
            var name = Substring(part).drop { $0 == " " }
            if name.hasPrefix("W/") { name = name.dropFirst(2) }
            while name.last == " " { name.removeLast() }
            return name == "*" || name == tag
        }
    }
}

/// The coding of replies, for clients that ask for it (RFC 9110, section 12.5.3).
enum Compression {
    /// Bodies below are sent as they are: the saving is less than a packet.
    static let bytesMin = 1_024

    static func isWanted(by request: HTTPRequest) -> Bool { ContentCoding.wantsGzip(request.headers) }

    /// Codes a reply where that is wanted and pays.
    static func apply(to response: inout HTTPResponse, for request: HTTPRequest) {
        guard response.body.count >= bytesMin, response.headers["content-encoding"] == nil,
            response.headers["etag"] == nil
        else { return }
        response.headers.add("Vary", "Accept-Encoding")
        guard isWanted(by: request), let coded = Gzip.compress(response.body) else { return }
        response.body = coded
        response.headers.add("Content-Encoding", "gzip")
    }
}

/// The page and the document as a page, out of the executable.
struct Page: Sendable {
    /// Only our own files, nothing inline, no frames, no forms that leave: hostile text in an event has nothing to call.
    static let contentSecurityPolicy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'
        """

    private static let index = PageFile(PackageResources.index_html, "text/html; charset=utf-8")
    private static let docs = PageFile(PackageResources.docs_html, "text/html; charset=utf-8")

    private static let script = "text/javascript; charset=utf-8"
    private static let style = "text/css; charset=utf-8"
    /// By their names, which are one folder to the browser, too: a module imports another as `./name.js`.
    static let files: [String: PageFile] = {
        let scripts: [(String, [UInt8])] = [
            ("admin.js", PackageResources.admin_js), ("answer.js", PackageResources.answer_js),
            ("ask.js", PackageResources.ask_js), ("attributes.js", PackageResources.attributes_js),
            ("chain.js", PackageResources.chain_js),
            ("chart.js", PackageResources.chart_js), ("docs.js", PackageResources.docs_js),
            ("documents.js", PackageResources.documents_js), ("dom.js", PackageResources.dom_js),
            ("faults.js", PackageResources.faults_js),
            ("golden.js", PackageResources.golden_js), ("json.js", PackageResources.json_js),
            ("overview.js", PackageResources.overview_js),
            ("page.js", PackageResources.page_js), ("parts.js", PackageResources.parts_js),
            ("quarantine.js", PackageResources.quarantine_js), ("questions.js", PackageResources.questions_js),
            ("replay.js", PackageResources.replay_js), ("sources.js", PackageResources.sources_js),
            ("sse.js", PackageResources.sse_js),
            ("status.js", PackageResources.status_js), ("trace.js", PackageResources.trace_js),
            ("watch.js", PackageResources.watch_js),
        ]
        let styles: [(String, [UInt8])] = [
            ("docs.css", PackageResources.docs_css), ("page.css", PackageResources.page_css),
            ("views.css", PackageResources.views_css),
        ]
        let all = scripts.map { ($0.0, PageFile($0.1, script)) } + styles.map { ($0.0, PageFile($0.1, style)) }
        return Dictionary(uniqueKeysWithValues: all)
    }()

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.docs, inline: { _, request in Self.docs.response(to: request) })
        set.add(Contract.page, inline: { _, request in Self.index.response(to: request) })
        set.add(Contract.pageFile, inline: { input, request in try file(input.file, request) })
    }

    /// `GET /page/{file}`
    private func file(_ name: String, _ request: HTTPRequest) throws(APIError) -> HTTPResponse {
        guard let file = Self.files[name] else {
            throw APIError(status: 404, type: "not_found", message: "there is nothing at this path")
        }
        return file.response(to: request)
    }
}
