import Glibc

/// A socket or event base that could not be set up.
package struct EventLoopError: Error, CustomStringConvertible, Sendable {
    /// The call that failed, for example `bind`.
    package let operation: String
    /// What it was called on, for example `127.0.0.1:8080`.
    package let subject: String
    /// The C library's `errno`; 0 where there is none.
    package let code: Int32
    /// What to do about it, for the operator.
    package let hint: String

    package init(operation: String, subject: String, code: Int32 = 0, hint: String = "") {
        self.operation = operation
        self.subject = subject
        self.code = code
        self.hint = hint
    }

    /// Whether the same call may succeed a little later without anybody changing a setting.
    package var isRetriable: Bool {
        [EADDRINUSE, EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EINTR].contains(code)
    }

    package var description: String {
        var text = "\(operation) failed on \(subject)"
        if code != 0 { text += ": \(systemErrorText(code))" }
        if !hint.isEmpty { text += " (\(hint))" }
        return text
    }
}

/// The C library's text for `code`.
package func systemErrorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // The POSIX variant, which always writes into the buffer; unlike strerror it is thread-safe.
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
