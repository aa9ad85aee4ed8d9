import Bytes
import CCurl

/// What to ask of whom.
package struct HTTPClientRequest: Sendable {
    package var method: String
    /// `http` or `https`.
    package var url: String
    /// Sent as given; a name or value with a line break is refused.
    package var headers: [(name: String, value: String)]
    /// Sent with its length; nil for none.
    package var body: [UInt8]?
    /// How many redirects to follow; 0 hands a 3xx to the caller. Other protocols than http and https are not followed.
    package var redirectsMax = 0
    /// The reply's body of a buffered request, bytes; beyond it the request fails.
    package var bodyBytesMax = 16 * 1_048_576
    /// How the reply's body may be encoded on its way.
    package var contentCoding = ContentCoding.undone
    /// Sent in place of ``body``, from a file.
    package var upload: HTTPClientUpload?
    /// Signs the request; nil for none.
    package var signature: HTTPClientSignature?
    /// The request ends as ``HTTPClientError/Kind/timeout`` when less than a byte a second moved for so long; nil for
    /// no such limit.
    package var stallSecondsMax: Int?

    package init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// What is asked about, and done with, the `Content-Encoding` of a reply.
package enum ContentCoding: Sendable {
    /// Asks for `identity`, unless the request brings an `Accept-Encoding` of its own. Where a proxy encodes all the same,
    /// gzip, deflate and zstd are undone, and any other encoding fails the request by name.
    case undone
    /// Neither asks nor undoes anything: for stored objects, whose encoding is theirs, and whose requests are signed with all
    /// their headers.
    case asStored
}

/// A file's bytes as the body of a `PUT`, read while they are sent.
package struct HTTPClientUpload: Sendable {
    /// Open for reading, and kept so by the caller until the request has returned.
    package let descriptor: Int32
    /// All of it is sent; a file that turns out shorter fails the request.
    package let bytes: Int

    package init(descriptor: Int32, bytes: Int) {
        self.descriptor = descriptor
        self.bytes = bytes
    }
}

/// AWS Signature Version 4, computed by libcurl (CURLOPT_AWS_SIGV4(3)).
///
/// libcurl signs path and query as they stand in the URL: encode them as the signature wants them, with sorted
/// parameters. It signs the headers given, and takes the body's hash from `x-amz-content-sha256`.
package struct HTTPClientSignature: Sendable {
    /// `aws:amz:REGION:SERVICE`.
    package let scope: String
    package let accessKeyID: String
    package let secretAccessKey: String

    package init(region: String, service: String, accessKeyID: String, secretAccessKey: String) {
        scope = "aws:amz:\(region):\(service)"
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
    }
}

/// A reply's header fields in order; names are compared without regard to case.
package struct HTTPClientHeaders: Sendable {
    package internal(set) var fields: [(name: String, value: String)] = []

    /// Fields as they came.
    package init(_ fields: [(name: String, value: String)] = []) { self.fields = fields }

    /// The encodings of the body, as `Content-Encoding` names them, without `identity`; empty where it stands as it is.
    package var contentEncodings: [String] { ContentDecoder.codings(self) }

    /// The first value of `name`.
    package subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// `Retry-After` in whole seconds from now, from 0 to a day; nil where it is absent or neither a number nor a date. A server
    /// may ask for more than a clock can count.
    package var retryAfterSeconds: Int? {
        guard let value = self["Retry-After"] else { return nil }
        if !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return min(Int(value) ?? .max, Self.retryAfterSecondsMax)
        }
        if let seconds = Int(value) { return min(max(0, seconds), Self.retryAfterSecondsMax) }
        let moment = curl_getdate(value, nil)
        return moment < 0 ? nil : min(max(0, moment - time(nil)), Self.retryAfterSecondsMax)
    }

    private static let retryAfterSecondsMax = 86_400
}

/// A whole reply.
package struct HTTPClientResponse: Sendable {
    package let status: Int
    package let headers: HTTPClientHeaders
    package let body: [UInt8]
    /// For errors.
    let subject: String
    /// What was asked, of which a server may repeat a part.
    let url: SecretURL

    /// Throws an error of kind `http` unless the status is 2xx.
    package func requireSuccess() throws(HTTPClientError) {
        guard !(200..<300).contains(status) else { return }
        throw HTTPClientError(
            kind: .http(status: status), subject: subject,
            detail: url.scrubbed(String(decoding: body.prefix(200), as: UTF8.self).filter { !$0.isNewline }),
            retryAfterSeconds: headers.retryAfterSeconds)
    }
}

/// How a stream ended, if not by an error.
package enum StreamEnd: Sendable, Equatable {
    /// The server ended the reply properly.
    case finished
    /// `shouldStop` said so.
    case stopped
    /// `onHead` did not want the body.
    case declined
}

/// A request that failed.
package struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// Not an http or https URL, or a header with a line break.
        case invalidRequest
        /// The name has no address, or no name server answered.
        case dns
        /// Nobody accepts connections there, or they do not answer.
        case connect
        /// The handshake failed or the certificate does not fit.
        case tls
        /// The total or connect time is over.
        case timeout
        /// No byte came for the stall time.
        case stall
        /// The connection ended in the middle.
        case cut
        /// What came is not HTTP, or redirects without end.
        case badReply
        /// The body is in a `Content-Encoding` that is not undone here.
        case contentEncoding
        /// The body is not what its `Content-Encoding` says, or ends in the middle of it.
        case damagedBody
        /// The body is larger than allowed.
        case bodyTooLarge
        /// `shouldStop` said so.
        case stopped
        /// A reply came, and its status is not a success.
        case http(status: Int)
        /// libcurl itself failed.
        case library
    }

    /// What went wrong, for programs.
    package let kind: Kind
    /// Method and URL without user, password and query, which may be secret.
    package let subject: String
    /// libcurl's words, or the start of the reply's body.
    package let detail: String
    /// What the server asked to wait, in seconds.
    package let retryAfterSeconds: Int?

    init(kind: Kind, subject: String, detail: String, retryAfterSeconds: Int? = nil) {
        self.kind = kind
        self.subject = subject
        self.detail = EnvironmentProxies.scrubbed(detail)
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Whether the same request may succeed later.
    package var isRetriable: Bool {
        switch kind {
        case .dns, .connect, .timeout, .stall, .cut, .damagedBody: true
        case .http(let status): [408, 425, 429, 500, 502, 503, 504].contains(status)
        case .invalidRequest, .tls, .badReply, .contentEncoding, .bodyTooLarge, .stopped, .library: false
        }
    }

    package var description: String {
        let what =
            switch kind {
            case .invalidRequest: "is not a proper request"
            case .dns: "failed: the host's name has no address (check the URL and the name server)"
            case .connect: "failed: no connection (check host, port and firewall)"
            case .tls: "failed: TLS (check the clock, the certificate and ca-certificates)"
            case .timeout: "ran out of time"
            case .stall: "stalled"
            case .cut: "was cut off"
            case .badReply: "got a reply that is not proper HTTP"
            case .contentEncoding: "got a body in an encoding that is not read here"
            case .damagedBody: "got a body that cannot be unpacked"
            case .bodyTooLarge: "got a body larger than allowed"
            case .stopped: "was stopped"
            case .http(let status): "got status \(status)"
            case .library: "failed inside libcurl"
            }
        return detail.isEmpty ? "\(subject) \(what)" : "\(subject) \(what): \(detail)"
    }
}

extension HTTPClientError {
    init(_ fault: ContentFault, subject: String) {
        switch fault {
        case .unknown(let name):
            self.init(
                kind: .contentEncoding, subject: subject,
                detail:
                    "Content-Encoding: \(name); identity was asked for, and gzip, deflate and zstd are read as well: have "
                    + "the server, or the proxy before it, send one of them (docs/troubleshooting.md)")
        case .damaged(let name):
            self.init(kind: .damagedBody, subject: subject, detail: "damaged, or not in Content-Encoding: \(name)")
        case .tooMuch(let name):
            self.init(
                kind: .bodyTooLarge, subject: subject,
                detail: "it unpacks (Content-Encoding: \(name)) to more than \(ContentDecoder.ratioMax) times its size")
        case .outOfMemory:
            self.init(kind: .library, subject: subject, detail: "out of memory")
        }
    }
}

extension HTTPClientError.Kind {
    init(_ code: CURLcode) {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: self = .dns
        case CURLE_COULDNT_CONNECT, CURLE_INTERFACE_FAILED, CURLE_PROXY: self = .connect
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
            self = .tls
        case CURLE_OPERATION_TIMEDOUT: self = .timeout
        case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE, CURLE_SEND_FAIL_REWIND:
            self = .cut
        case CURLE_WEIRD_SERVER_REPLY, CURLE_TOO_MANY_REDIRECTS, CURLE_BAD_CONTENT_ENCODING, CURLE_HTTP2,
            CURLE_HTTP2_STREAM:
            self = .badReply
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: self = .invalidRequest
        default: self = .library
        }
    }
}

extension HTTPClientSignature: CustomStringConvertible {
    /// Without the key and its secret.
    package var description: String { scope }
}

extension HTTPClientRequest: CustomStringConvertible {
    /// Without headers, among which keys are, and without what is secret in the URL.
    package var description: String { subject }
}
