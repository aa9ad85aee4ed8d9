import Bytes
import Hashing
import JSONScan
package import Logic
import Records
package import Settings

/// Lets rules hash without knowing the library.
package struct LibraryHasher: ~Copyable, ContentHasher {
    private var hasher: SHA256Hasher

    /// - Throws: ``HashingError`` when OpenSSL has no SHA-256.
    package init() throws { hasher = try SHA256Hasher() }

    /// Appends the SHA-256 of `bytes` in hexadecimal.
    package mutating func appendHexDigest(of bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) throws {
        try hasher.hash(bytes).appendHex(to: &output)
    }
}

extension FieldValue {
    /// A parsed field in the rules' words.
    init(_ field: JSONField) {
        switch field.kind {
        case .absent: self.init(kind: .absent)
        case .null: self.init(kind: .null)
        case .bool: self.init(kind: .bool, integer: field.integer)
        case .integer: self.init(kind: .integer, integer: field.integer)
        case .unsigned: self.init(number: Double(UInt64(bitPattern: field.integer)))
        case .double: self.init(number: field.double)
        case .string: self.init(kind: .string, text: field.text)
        case .array: self.init(kind: .array)
        case .object: self.init(kind: .object)
        }
    }
}

/// Transform settings that cannot be used: which, and why.
package struct TransformSettingsError: Error, CustomStringConvertible {
    package let description: String
}

extension TransformSettings {
    /// The settings of this deployment.
    ///
    /// - Throws: ``TransformSettingsError`` naming the variable.
    package init(_ settings: Settings) throws(TransformSettingsError) {
        guard let code = CodeVersion(rawValue: Int64(settings.transformVersion)) else {
            throw TransformSettingsError(
                description: "TRANSFORM_VERSION=\(settings.transformVersion): this binary does not have it")
        }
        do throws(TextTemplate.Fault) {
            self.init(
                codeVersion: code, template: try TextTemplate(settings.textTemplate), wikis: settings.wikiFilter,
                namespaces: settings.allowedNamespaces.map(Int64.init), dropsBots: settings.filtersBots,
                contentCharactersMax: settings.maxContentCharacters,
                duplicates: DuplicateWindow.Limits(
                    offsets: Int64(settings.duplicateWindowOffsets),
                    milliseconds: Int64(settings.duplicateWindowSeconds) * 1_000))
        } catch {
            throw TransformSettingsError(description: "TEXT_TEMPLATE: \(error)")
        }
    }

    /// Reads back ``canonicalJSON``, as generations store it.
    ///
    /// - Throws: ``TransformSettingsError`` where this binary does not have the code version.
    package init(stored: String) throws(TransformSettingsError) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(stored.utf8)) } catch {
            throw TransformSettingsError(description: "the stored settings are no JSON: \(error)")
        }
        guard let number = value["code_version"]?.integer, let code = CodeVersion(rawValue: number) else {
            let known = CodeVersion.allCases.map { String($0.rawValue) }.joined(separator: ", ")
            throw TransformSettingsError(
                description: "the stored settings ask for code version \(value["code_version"]?.integer ?? 0); this "
                    + "binary has \(known): use the release that made them")
        }
        guard let source = value["template"]?.string, let template = try? TextTemplate(source),
            let charactersMax = value["content_characters_max"]?.integer, let dropsBots = value["drops_bots"]?.bool,
            let windowOffsets = value["duplicates_offsets"]?.integer,
            let windowMilliseconds = value["duplicates_milliseconds"]?.integer,
            let namespaces = value["namespaces"]?.array, let types = value["types"]?.array,
            let wikis = value["wikis"]?.array
        else { throw TransformSettingsError(description: "the stored settings lack a field: \(stored)") }
        self.init(
            codeVersion: code, template: template, wikis: wikis.compactMap(\.string),
            namespaces: namespaces.compactMap(\.integer), dropsBots: dropsBots,
            contentCharactersMax: Int(charactersMax), types: types.compactMap(\.string),
            duplicates: DuplicateWindow.Limits(offsets: windowOffsets, milliseconds: windowMilliseconds))
    }
}
