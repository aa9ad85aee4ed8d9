/// A request to the object storage that failed: what, on which object, and the storage's own words.
package struct ObjectStorageError: Error, CustomStringConvertible, Sendable {
    /// What went wrong, for programs.
    package enum Kind: Sendable, Equatable {
        /// The bucket or the object does not exist.
        case notFound
        /// Key, secret or policy do not allow it.
        case denied
        /// The bytes that came do not match what was asked for or what is recorded.
        case mismatch
        /// Not reached, cut off, out of time, or an error of the server; after all attempts.
        case unavailable
        /// Anything else that the storage refuses.
        case refused
        /// What is to be sent cannot be read.
        case local
    }

    /// What went wrong.
    package let kind: Kind
    /// Such as `put` or `get`.
    package let operation: String
    package let bucket: String
    /// Empty for requests about the bucket.
    package let key: String
    /// The last reply's; nil where none came.
    package let status: Int?
    /// S3's word for the error, such as `NoSuchKey`; empty where none came.
    package let code: String
    package let reason: String
    package let attempts: Int

    package init(
        kind: Kind, operation: String, bucket: String, key: String, status: Int? = nil, code: String = "",
        reason: String, attempts: Int = 1
    ) {
        self.kind = kind
        self.operation = operation
        self.bucket = bucket
        self.key = key
        self.status = status
        self.code = code
        self.reason = reason
        self.attempts = attempts
    }

    /// Time or an operator can heal it, and the same call may then succeed.
    package var isRetriable: Bool { kind == .unavailable }

    package var description: String {
        var text = "object storage could not \(operation) \(bucket)" + (key.isEmpty ? "" : "/\(key)") + ":"
        if let status { text += " status \(status)" }
        if !code.isEmpty { text += " \(code)" }
        if !reason.isEmpty { text += (status == nil ? " " : ", ") + reason }
        if attempts > 1 { text += " (after \(attempts) attempts)" }
        return text + (hint.map { "; \($0)" } ?? "")
    }

    /// What an operator can do about it.
    package var hint: String? {
        switch kind {
        case .denied: "check the access key, its secret and its policy for this bucket, and the machine's clock"
        case .notFound where code == "NoSuchBucket": "make the bucket, or name another one"
        case .unavailable: "check the endpoint and the network; then do the same again"
        case .notFound, .mismatch, .refused, .local: nil
        }
    }
}
