import Bytes

extension SearchAPI {
    /// Only our own files, nothing inline, no frames, no forms that leave: hostile text in an event has nothing to call.
    static let contentSecurityPolicy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'
        """

    /// The page, out of the executable.
    static func page() -> APIReply {
        asset(PackageResources.index_html, "text/html; charset=utf-8")
    }

    /// One of the page's files, out of the executable.
    static func pageFile(_ name: String) throws(APIError) -> APIReply {
        switch name {
        case "page.css": return asset(PackageResources.page_css, "text/css; charset=utf-8")
        case "page.js": return asset(PackageResources.page_js, script)
        case "dom.js": return asset(PackageResources.dom_js, script)
        case "feed.js": return asset(PackageResources.feed_js, script)
        case "query.js": return asset(PackageResources.query_js, script)
        case "trace.js": return asset(PackageResources.trace_js, script)
        default: throw APIError(status: 404, type: "not_found", message: "there is nothing at this path")
        }
    }

    private static let script = "text/javascript; charset=utf-8"

    private static func asset(_ body: [UInt8], _ contentType: String) -> APIReply {
        APIReply(
            status: 200, contentType: contentType,
            headers: [
                ("Content-Security-Policy", contentSecurityPolicy), ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache"),
            ], body: body)
    }
}
