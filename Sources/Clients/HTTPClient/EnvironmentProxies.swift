import Bytes
import Glibc

/// The proxies that libcurl takes from the environment (libcurl-env(3)). They may have passwords, which libcurl repeats where it
/// cannot read one.
enum EnvironmentProxies {
    private static let urls = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].compactMap {
        (name: String) -> SecretURL? in
        getenv(name).map { SecretURL(String(cString: $0)) }
    }.filter { !$0.isEmpty }

    /// A message of libcurl without what is secret in them.
    static func scrubbed(_ message: String) -> String {
        urls.reduce(Redaction.urls(in: message)) { $1.scrubbed($0) }
    }
}
