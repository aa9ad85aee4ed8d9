import Bytes
import HTTPClient

/// Why a model gave no answer. Names of kinds show in replies, metrics and `/health`.
struct ModelFault: Error, Sendable, Equatable, CustomStringConvertible {
    enum Kind: String, Sendable, CaseIterable {
        /// Not done by LLM_TIMEOUT_MS.
        case timeout
        /// No word of it came by half of that time.
        case silent
        case unreachable
        /// Status 429.
        case rateLimited = "rate_limited"
        case serverError = "server_error"
        /// Status 404: no such model, or no such path.
        case wrongModel = "wrong_model"
        case unauthorized
        /// Another status of the kind 4xx or 3xx.
        case refused
        case tooLarge = "too_large"
        /// Nothing that can be read as sentences with citations.
        case garbage
        case empty
        /// The reply ended in the middle.
        case cut
        /// It failed so often that it is not asked for a while.
        case resting
        /// As many answers are being written as may.
        case busy
    }

    var kind: Kind
    /// Of the reply, where there was one.
    var status: Int?
    /// What the server or libcurl said, which may hold the key or the question: for ``logged(key:url:)`` alone.
    var detail = ""
    /// What the server asked to wait.
    var retryAfterSeconds: Int?
    /// Whether some of the reply had come: asking again would say it twice.
    var hasBegun = false
    /// Whether the reply's body may say what the server does not take.
    var isAboutRequest = false
    /// Whether the server found fault with this request, which says nothing of the next one.
    var isOfRequest: Bool { status == 400 || status == 422 }

    init(_ kind: Kind, _ detail: String = "") {
        self.kind = kind
        self.detail = detail
    }

    init(_ error: HTTPClientError) {
        switch error.kind {
        case .dns, .connect, .tls: self.init(.unreachable, error.description)
        case .timeout, .stall: self.init(.timeout, error.description)
        case .cut, .badReply, .contentEncoding, .damagedBody: self.init(.cut, error.description)
        case .bodyTooLarge: self.init(.tooLarge, error.description)
        case .http(let status):
            self.init(status: status, body: error.detail, retryAfterSeconds: error.retryAfterSeconds)
        case .invalidRequest, .stopped, .library: self.init(.unreachable, error.description)
        }
    }

    /// - Parameter body: of the reply, as far as it is read.
    init(status: Int, body: String, retryAfterSeconds: Int?) {
        let kind: Kind =
            switch status {
            case 429: .rateLimited
            case 401, 403: .unauthorized
            case 404: .wrongModel
            case 408, 500...: .serverError
            default: .refused
            }
        self.init(kind, body)
        self.status = status
        self.retryAfterSeconds = retryAfterSeconds
        isAboutRequest = status == 400 || status == 422 || status == 501
    }

    /// How long to wait before the same is asked once more; nil where that is of no use.
    func pauseMilliseconds(attempt: Int) -> Int? {
        guard !hasBegun else { return nil }
        switch kind {
        case .rateLimited, .serverError: return retryAfterSeconds.map { $0 * 1_000 } ?? (250 << min(attempt, 4))
        case .unreachable, .cut, .empty: return 100 << min(attempt, 4)
        default: return nil
        }
    }

    /// Without what the server said: everybody may read it.
    var description: String { status.map { "\(kind.rawValue) (status \($0))" } ?? kind.rawValue }

    /// What the server or libcurl said, for the log: without secrets, then cut.
    func logged(key: String, url: SecretURL) -> String {
        let text = url.scrubbed(key.isEmpty ? detail : detail.replacing(key, with: "***"))
        return String(text.filter { !$0.isNewline }.prefix(Self.loggedCharactersMax))
    }

    private static let loggedCharactersMax = 200
}
