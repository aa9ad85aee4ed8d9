import Bytes
import Concurrency
import Sources
import Synchronization

/// The files of secrets that sources name, read again now and then, so that a new secret counts without a restart.
final class SecretShelf: Sendable {
    private struct Entry {
        var readAtNanoseconds: Int64
        var secrets: Result<WebhookSecrets, WebhookSecrets.Fault>
    }

    private let known = Mutex<[String: Entry]>([:])
    private let lane = Lane(name: "secrets")
    private static let nanoseconds: Int64 = 5_000_000_000

    /// - Throws: `WebhookSecrets.Fault` where the file cannot be used.
    func secrets(in file: String) async throws -> WebhookSecrets {
        if let entry = known.withLock({ $0[file] }),
            SystemClock.monotonicNanoseconds() - entry.readAtNanoseconds < Self.nanoseconds
        {
            return try entry.secrets.get()
        }
        let secrets = try await lane.run { () -> Result<WebhookSecrets, WebhookSecrets.Fault> in
            do throws(WebhookSecrets.Fault) {
                return .success(try WebhookSecrets(file: file))
            } catch {
                return .failure(error)
            }
        }
        known.withLock { $0[file] = Entry(readAtNanoseconds: SystemClock.monotonicNanoseconds(), secrets: secrets) }
        return try secrets.get()
    }
}
