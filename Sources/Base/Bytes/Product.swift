/// What the program calls itself, wherever it says so.
package enum Product {
    /// The version that `--version`, `/health`, the OpenAPI document and requests to others show; CHANGELOG.md says what it holds.
    package static let version = "0.1.0"
    /// The start of a `User-Agent` (RFC 9110, section 10.1.5).
    package static let userAgent = "medallion/\(version)"
}
