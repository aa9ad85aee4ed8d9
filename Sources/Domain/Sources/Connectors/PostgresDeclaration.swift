package import Bytes
import Files
import Glibc
package import Logic

/// A table of a Postgres database, of which every change is read.
package struct PostgresDeclaration: ConnectorMembers {
    /// Where the password is, which never stands in a declaration.
    package enum Password: Sendable, Equatable {
        /// Whatever libpq finds: a password file of its own, or none is needed.
        case none
        /// The name of a variable of the environment.
        case environment(String)
        /// An absolute path.
        case file(String)
    }

    /// A connection string of libpq without a password.
    package let dsn: SecretURL
    package let password: Password
    /// The table's schema and its name, as the catalogue has them.
    package let schema: String
    package let table: String
    /// The replication slot and the publication: made where they are not there.
    package let slot: String
    package let publication: String
    /// The number of the snapshot that is wanted. A higher one than before has the whole table read again.
    package let snapshot: Int
    /// Whether a record without value follows each deletion, for readers that compact the topic by its keys.
    package let writesTombstones: Bool

    /// What may be set.
    package enum Bounds {
        /// It is a part of every document's version.
        package static let snapshots: ClosedRange<Int64> = 1...31
        /// Of names in the catalogue.
        package static let nameBytesMax = 63
        static let textBytesMax = 4_096
    }

    package init(
        dsn: SecretURL, password: Password = .none, schema: String = "public", table: String, slot: String? = nil,
        publication: String? = nil, snapshot: Int = 1, writesTombstones: Bool = false
    ) {
        self.dsn = dsn
        self.password = password
        self.schema = schema
        self.table = table
        let name = Self.standardName(schema: schema, table: table)
        self.slot = slot ?? name
        self.publication = publication ?? name
        self.snapshot = snapshot
        self.writesTombstones = writesTombstones
    }

    /// - Parameter folder: what a relative file begins at.
    init?(_ reader: DeclarationReader, folder: String) {
        guard
            let members = reader.members(
                required: ["type", "dsn", "table"],
                optional: ["slot", "publication", "snapshot", "tombstones", "password_env", "password_file"])
        else { return nil }
        let before = reader.faults.all.count
        let dsn = members["dsn"].flatMap { Self.dsn($0) }
        let table = members["table"].flatMap { Self.table($0) }
        let slot = members["slot"].flatMap { Self.name($0) }
        let publication = members["publication"].flatMap { Self.name($0) }
        let snapshot = members["snapshot"].given(Int64(1)) { $0.integer(Bounds.snapshots) }
        let tombstones = members["tombstones"].given(true) { $0.bool() }
        var password = Password.none
        if let member = members["password_env"], let name = Self.variable(member) { password = .environment(name) }
        if let member = members["password_file"], let path = member.text(bytesMax: Bounds.textBytesMax) {
            if members["password_env"] != nil { member.fault("goes without \"password_env\"; leave one of them out") }
            password = .file(path.hasPrefix("/") ? path : folder + "/" + path)
        }
        guard let dsn, let table, let snapshot, let tombstones, reader.faults.all.count == before else { return nil }
        self.init(
            dsn: SecretURL(dsn), password: password, schema: table.schema, table: table.name, slot: slot,
            publication: publication, snapshot: Int(snapshot), writesTombstones: tombstones)
    }

    // MARK: Members

    private static func dsn(_ reader: DeclarationReader) -> String? {
        guard let text = reader.text(bytesMax: Bounds.textBytesMax) else { return nil }
        let isURI = ["postgres://", "postgresql://"].contains { text.hasPrefix($0) }
        guard isURI || text.contains("="), text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            reader.fault(
                "must be a connection string such as postgresql://user@host:5432/database, in one line of ASCII")
            return nil
        }
        // What somebody may read who must not have it. Not repeated, as nothing of the text is.
        var hasPassword = text.lowercased().contains("password")
        if isURI, let scheme = text.firstRange(of: "://") {
            let authority = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            if let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") { hasPassword = true }
        }
        guard !hasPassword else {
            reader.fault(
                "must not hold a password: name the variable that has it by \"password_env\", or its file by "
                    + "\"password_file\"")
            return nil
        }
        return text
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isWord(_ name: Substring, bytesMax: Int) -> Bool {
        guard let first = name.utf8.first, isLetter(first), name.utf8.count <= bytesMax else { return false }
        return name.utf8.allSatisfy { isLetter($0) || isDigit($0) }
    }

    private static func table(_ reader: DeclarationReader) -> (schema: String, name: String)? {
        guard let text = reader.text(bytesMax: Bounds.textBytesMax) else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let name = parts.last, parts.count <= 2,
            parts.allSatisfy({ isWord($0, bytesMax: Bounds.nameBytesMax) })
        else {
            reader.fault(
                "must be a table such as articles or blog.articles, as the catalogue spells it: letters, digits and _, "
                    + "\(Bounds.nameBytesMax) at most")
            return nil
        }
        return (parts.count == 2 ? String(parts[0]) : "public", String(name))
    }

    /// Of a slot or a publication: the grammar of slots.
    private static func name(_ reader: DeclarationReader) -> String? {
        guard let text = reader.text(bytesMax: Bounds.nameBytesMax) else { return nil }
        guard text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") || (isLetter($0) && $0 >= 0x60) })
        else {
            reader.fault("must be a name of lower-case letters, digits and _, \(Bounds.nameBytesMax) at most")
            return nil
        }
        return text
    }

    private static func variable(_ reader: DeclarationReader) -> String? {
        guard let text = reader.text(bytesMax: 255) else { return nil }
        guard isWord(text[...], bytesMax: 255) else {
            reader.fault("must be the name of a variable of the environment: letters, digits and _")
            return nil
        }
        return text
    }

    private static func standardName(schema: String, table: String) -> String {
        String("medallion_\(schema)_\(table)".lowercased().prefix(Bounds.nameBytesMax))
    }

    // MARK: ConnectorMembers

    package var place: String { "\(dsn) \(schema).\(table)" }

    package func write(to json: inout JSONWriter) {
        json.string("dsn", "\(dsn)")
        json.string("table", "\(schema).\(table)")
        json.string("slot", slot)
        json.string("publication", publication)
        json.integer("snapshot", snapshot)
        json.bool("tombstones", writesTombstones)
        switch password {
        case .none: break
        case .environment(let name): json.string("password_env", name)
        case .file(let path): json.string("password_file", path)
        }
    }

    package func refusal(of logic: LogicSettings) -> String? {
        let order = EnvelopeFields.order
        guard case .document(let settings) = logic, settings.envelope == .debezium,
            settings.mapping.version?.text == order
        else {
            return "the connector \"postgres\" goes with the logic \"document\" with \"envelope\": \"debezium\" and, "
                + "among its fields, \"version\": \"\(order)\""
        }
        return nil
    }

    package func look() -> [DeclarationFault] {
        switch password {
        case .none: return []
        case .environment(let name):
            guard getenv(name) == nil else { return [] }
            return [DeclarationFault(place: "password_env", reason: "\(name) is not set in this environment")]
        case .file(let path):
            do throws(FileError) {
                _ = try File.contents(of: path, bytesMax: Bounds.textBytesMax)
                return []
            } catch {
                return [DeclarationFault(place: "password_file", reason: "cannot be read: \(error)")]
            }
        }
    }
}
