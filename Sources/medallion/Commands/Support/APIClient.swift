import Bytes
import Console
import HTTPClient
import HTTPServer
import JSONScan
import Records
import ServiceLifecycle
import Settings
import Telemetry

/// The HTTP API from the outside, for the commands that ask it. Blocks: for lanes.
struct APIClient: Sendable {
    let base: String
    private let client: HTTPClient
    /// Sent with every request; empty for none.
    private let key: String
    /// Whose documents are meant, which an administrator of the platform says; nil for the key's own.
    private let tenant: String?
    private let timeoutMilliseconds: Int

    private static let tenantHeader = "Medallion-Tenant"
    /// Of the commands that ask.
    static let tenantOption = ArgumentTable.Option(
        name: "--tenant", value: "NAME", help: "Whose documents; for keys that administer the platform.")

    /// The name that ``tenantOption`` has; nil where it is not there.
    static func tenant(_ arguments: ParsedArguments) throws -> String? {
        guard let text = arguments.value(tenantOption.name) else { return nil }
        guard TenantID(text) != nil else {
            throw UsageError("--tenant \(text): no name of a tenant, which has \(TenantID.grammar)")
        }
        return text
    }

    /// - Parameters:
    ///   - url: the API's address; `API_LISTEN` unless given.
    ///   - key: in place of `MEDALLION_API_KEY`.
    ///   - tenant: whose documents are meant; nil for the key's own.
    init(settings: Settings, url: String? = nil, key: String? = nil, tenant: String? = nil) {
        self.tenant = tenant
        base = url.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } ?? settings.apiURL
        self.key = key ?? settings.access.key
        client = HTTPClient(Self.configuration(settings))
        timeoutMilliseconds = Int(settings.source.requestTimeoutSeconds * 1_000) + 1_000
    }

    /// Trusts the API's own certificate where it is at hand: it may be self-signed.
    static func configuration(_ settings: Settings) -> HTTPClientConfiguration {
        var configuration = HTTPClientConfiguration()
        if !settings.access.tlsCertificate.isEmpty {
            configuration.certificateAuthorities = settings.access.tlsCertificate
        }
        return configuration
    }

    /// - Throws: ``Failure`` with the server's words for a status other than 200, 69 where nobody answers.
    func get(_ path: String) throws -> JSONValue {
        try ask(HTTPClientRequest(url: base + path))
    }

    /// - Throws: as ``get(_:)``.
    func post(_ path: String, _ body: [UInt8]) throws -> JSONValue {
        try ask(
            HTTPClientRequest(
                method: "POST", url: base + path, headers: [("Content-Type", "application/json")], body: body))
    }

    /// The bytes of the reply's body, for `--json`.
    func bytes(_ request: HTTPClientRequest) throws -> [UInt8] {
        let response = try response(request)
        guard response.status == 200 else { throw Self.failure(response) }
        return response.body
    }

    /// The reply, whatever its status.
    ///
    /// - Parameters:
    ///   - millisecondsMax: less than what every request may take.
    ///   - shouldStop: asked now and then; true gives the request up.
    /// - Throws: ``Failure`` with 69 where nobody answers, or it was given up.
    func response(
        _ request: HTTPClientRequest, millisecondsMax: Int = .max, shouldStop: () -> Bool = { false }
    ) throws -> HTTPClientResponse {
        var request = request
        if !key.isEmpty { request.headers.append(("Authorization", "Bearer \(key)")) }
        if let tenant { request.headers.append((Self.tenantHeader, tenant)) }
        do throws(HTTPClientError) {
            return try client.request(
                request, timeoutMilliseconds: min(timeoutMilliseconds, millisecondsMax), shouldStop: shouldStop)
        } catch {
            let hint = error.kind == .connect ? ": is `medallion up` or `medallion serve` running there?" : ""
            throw Failure("\(error)\(hint)", code: .dependencyUnavailable)
        }
    }

    private func ask(_ request: HTTPClientRequest) throws -> JSONValue {
        try JSONValue.parse(try bytes(request), maxDepth: 64)
    }

    /// The server's words for a reply that is not the one asked for.
    static func failure(_ response: HTTPClientResponse) -> Failure {
        let error = (try? JSONValue.parse(response.body))?["error"]
        // A server of any kind may answer there, and what it says goes to a terminal.
        var text = LogText.escaped(error?["message"]?.string ?? "the API answered \(response.status)")
        if response.status == 401 { text += " (MEDALLION_API_KEY)" }
        for detail in error?["detail"]?.array ?? [] {
            let place = (detail["loc"]?.array ?? []).compactMap(\.string).joined(separator: ".")
            text += "\n  \(LogText.escaped(place)): \(LogText.escaped(detail["msg"]?.string ?? ""))"
        }
        return Failure(text, code: response.status >= 500 ? .dependencyUnavailable : .failure)
    }

    /// A document id as a path segment.
    static func segment(_ text: String) -> String { PercentCoding.segment(text) }
}
