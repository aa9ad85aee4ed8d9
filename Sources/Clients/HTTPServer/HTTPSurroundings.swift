/// Makes ids of requests: the client's own where it is proper, else one that no other request of this machine gets soon.
struct RequestIDs {
    /// Random, per loop.
    private let prefix: String
    private var count: UInt64 = 0
    /// Characters of a client's id.
    private static let lengthMax = 64

    init() {
        var generator = SystemRandomNumberGenerator()
        prefix = String(generator.next() | 1 << 63, radix: 36)
    }

    mutating func id(for request: HTTPRequest?) -> String {
        if let given = request?.headers["x-request-id"], Self.isProper(given) { return given }
        count += 1
        return "\(prefix)-\(count)"
    }

    /// Letters, digits, `-`, `_` and `.`: nothing that a log or a header could take for something else.
    private static func isProper(_ text: String) -> Bool {
        (1...lengthMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                isDigit(byte) || lowered(byte) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
    }
}

/// Who may read replies from a page of another origin: the CORS protocol of the Fetch standard, section 3.2.
struct HTTPCORS: Sendable {
    private let origins: Set<String>
    private let takesAll: Bool

    init(origins: [String]) {
        self.origins = Set(origins)
        takesAll = origins.contains("*")
    }

    /// The value of `Access-Control-Allow-Origin`; nil where the request has no origin or not one of ours.
    func origin(for request: HTTPRequest?) -> String? {
        guard let origin = request?.headers["origin"] else { return nil }
        if takesAll { return "*" }
        return origins.contains(origin) ? origin : nil
    }

    private static let usualHeaders =
        "Accept, Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version, Medallion-Tenant, X-API-Key, "
        + "X-Request-Id"
    /// Bytes of a list of headers that is taken up.
    private static let namesBytesMax = 1_024

    /// What a page may send, where it is a list of tokens: clients of the OpenAI API and of MCP send headers of their own, which
    /// are more than a list could keep up with.
    private static func names(_ text: String) -> String? {
        let isProper =
            (1...namesBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                isDigit(byte) || lowered(byte) &- UInt8(ascii: "a") < 26 || "!#$%&'*+-.^_`|~, ".utf8.contains(byte)
            }
        return isProper ? text : nil
    }

    /// Answers a preflight.
    func allow(_ methods: String, _ request: HTTPRequest, _ headers: inout HTTPHeaders) {
        guard request.headers["access-control-request-method"] != nil, origin(for: request) != nil else { return }
        headers.add("Access-Control-Allow-Methods", methods)
        headers.add(
            "Access-Control-Allow-Headers",
            request.headers["access-control-request-headers"].flatMap(Self.names) ?? Self.usualHeaders)
        headers.add("Vary", "Access-Control-Request-Headers")
        headers.add("Access-Control-Max-Age", "600")
    }
}
