package import Bytes
import Files
package import Logic

/// Documents that other programs send to `POST /ingest/{source}`.
package struct WebhookDeclaration: ConnectorMembers {
    /// Absolute: the file with the secrets that requests are signed with. Nil where senders have a key with the role `write`.
    package let secretFile: String?
    /// How many documents a second are taken; nil for any number.
    package let documentsPerSecond: Int?

    /// What ``documentsPerSecond`` may be.
    package static let documentsPerSecondBounds: ClosedRange<Int64> = 1...1_000_000

    package init(secretFile: String? = nil, documentsPerSecond: Int? = nil) {
        self.secretFile = secretFile
        self.documentsPerSecond = documentsPerSecond
    }

    /// - Parameter folder: what a relative path begins at.
    init?(_ reader: DeclarationReader, folder parent: String) {
        guard
            let members = reader.members(required: ["type"], optional: ["secret_file", "documents_per_second"])
        else { return nil }
        var (file, rate): (String?, Int?)
        if let member = members["secret_file"] {
            file = member.file(below: parent)
            guard file != nil else { return nil }
        }
        if let member = members["documents_per_second"] {
            rate = member.integer(Self.documentsPerSecondBounds).map { Int($0) }
            guard rate != nil else { return nil }
        }
        self.init(secretFile: file, documentsPerSecond: rate)
    }

    package var place: String { "POST /ingest" }

    package func write(to json: inout JSONWriter) {
        // Where secrets lie is no secret.
        if let secretFile { json.string("secret_file", secretFile) }
        if let documentsPerSecond { json.integer("documents_per_second", documentsPerSecond) }
    }

    package func refusal(of logic: LogicSettings) -> String? {
        guard case .document(let settings) = logic else {
            return "the connector \"webhook\" goes with the logic \"document\""
        }
        guard settings.envelope != nil else { return replayRefusal(settings) }
        return "the connector \"webhook\" takes documents as they are; \"envelope\" goes with \"postgres\" and "
            + "\"none\""
    }

    /// How far apart, in seconds, the first and the last time may lie at which a server takes one signed request.
    package static let replaySeconds = 600
    /// A quota lets two seconds' worth come at once, and one request of that many documents go beyond it.
    private static let overdraft: (seconds: Int, documents: Int) = (2, 10_000)

    /// Why a signed request that is played again could put an old text in the place of a newer one; nil where it could not, since
    /// versions tell them apart, or the duplicate window holds whatever comes while the signature counts.
    private func replayRefusal(_ logic: DocumentSettings) -> String? {
        guard secretFile != nil, logic.mapping.version == nil else { return nil }
        let remedy =
            "or map a version (fields.version): else a signed request that is played again could put an old text back"
        guard let documentsPerSecond else {
            return "signed documents without version need documents_per_second, for which the duplicate window is "
                + "to be wide enough, \(remedy)"
        }
        let least = documentsPerSecond * (Self.replaySeconds + Self.overdraft.seconds) + Self.overdraft.documents
        guard logic.duplicates.offsets < least else { return nil }
        return "signed documents without version, \(documentsPerSecond) a second, need a duplicates_offsets of at "
            + "least \(least), less documents_per_second, \(remedy)"
    }

    package func look() -> [DeclarationFault] {
        guard let secretFile else { return [] }
        do {
            _ = try WebhookSecrets(file: secretFile)
            return []
        } catch {
            return [DeclarationFault(place: "secret_file", reason: "\(error)")]
        }
    }
}

/// The secrets that a source's requests may be signed with: one a line, so that a new one counts beside the old one while senders
/// change.
package struct WebhookSecrets: Sendable {
    /// Never empty.
    package let secrets: [[UInt8]]

    /// A larger file is refused.
    private static let fileBytesMax = 4_096
    /// Secrets that count at once.
    private static let secretsMax = 4
    /// A shorter one could be guessed.
    private static let secretBytesMin = 16

    /// Why a file of secrets cannot be used.
    package struct Fault: Error, CustomStringConvertible {
        package let description: String
    }

    /// - Throws: ``Fault`` where the file cannot be read or holds no such secrets; no message repeats one.
    package init(file: String) throws(Fault) {
        let bytes: [UInt8]
        do { bytes = try File.contents(of: file, bytesMax: Self.fileBytesMax) } catch {
            throw Fault(description: "\(file) cannot be read: \(error); put the secret there, one a line")
        }
        let lines = bytes.split(separator: UInt8(ascii: "\n")).map { line in
            Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
        }
        secrets = lines.filter { !$0.isEmpty }
        guard (1...Self.secretsMax).contains(secrets.count),
            secrets.allSatisfy({ $0.count >= Self.secretBytesMin })
        else {
            throw Fault(
                description:
                    "\(file) must hold 1 to \(Self.secretsMax) secrets, one a line, each of at least \(Self.secretBytesMin) "
                    + "bytes, such as `openssl rand -hex 32` prints")
        }
    }
}
