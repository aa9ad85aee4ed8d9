import COpenVINO

/// A failed call into OpenVINO, or a model that is not what the caller was promised.
///
/// Never worth a retry: the same model, machine and input fail again.
package struct InferenceError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What was tried, such as "load the model".
    package let operation: String
    /// On what: the path of the model.
    package let path: String
    /// Why, in OpenVINO's words where it has any.
    package let reason: String
    /// What an operator can do about it; empty when nothing is known to help.
    package let hint: String

    /// Never: see above.
    package var isRetriable: Bool { false }

    package var description: String {
        "cannot \(operation) (\(path)): \(reason)" + (hint.isEmpty ? "" : "; \(hint)")
    }

    init(operation: String, path: String, reason: String, hint: String = "") {
        self.operation = operation
        self.path = path
        self.reason = reason
        self.hint = hint
    }

    /// Takes the reason from OpenVINO's last message of this thread.
    init(operation: String, path: String, status: ov_status_e, hint: String = "") {
        let name = ov_get_error_info(status).map { String(cString: $0) } ?? "status \(status.rawValue)"
        // The library keeps the message; it is not ours to free. It can be long, with C++ source positions.
        let message = ov_get_last_err_msg().map { String(cString: $0) } ?? ""
        let lines = message.split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
        let detail = lines.last.map { ": \($0.prefix(300))" } ?? ""
        self.init(operation: operation, path: path, reason: name + detail, hint: hint)
    }
}
