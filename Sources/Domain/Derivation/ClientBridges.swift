import Bytes
import Hashing
import JSONScan
import LanguageDetection
import Logic
import Records

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

/// Lets rules find languages without knowing the library.
package struct LibraryLanguages: LanguageFinder {
    package init() {}

    /// What the library is not sure of is not known.
    package func language(of text: [UInt8]) -> String? {
        guard let found = LanguageDetector.detect(text), found.isReliable else { return nil }
        return found.code
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
