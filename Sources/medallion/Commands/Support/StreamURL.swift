import Bytes
import Console

/// The address of a stream on the command line. It may hold a user, a password or a token, so no error repeats it whole.
enum StreamURL {
    /// - Parameter name: what the usage calls it.
    /// - Throws: ``UsageError`` where it is neither http nor https.
    static func read(_ text: String?, named name: String) throws -> SecretURL? {
        guard let text else { return nil }
        guard text.hasPrefix("http://") || text.hasPrefix("https://") else {
            throw UsageError("\(name) \(Redaction.url(text)): not an http or https URL")
        }
        return SecretURL(text)
    }
}
