/// Why a file, or a piece of it, is left out.
package struct FileFault: Error, Equatable, CustomStringConvertible {
    /// By what refusals are counted.
    package enum Rule: String, CaseIterable, Sendable {
        /// It cannot be opened or read, or is no file.
        case unreadable
        /// There is nothing in it, or no text.
        case empty
        /// Its bytes are no text.
        case binary
        case utf16 = "utf_16"
        case notUTF8 = "not_utf_8"
        /// A line, a row or a document is larger than allowed.
        case tooLarge = "too_large"
        case notJSON = "not_json"
        /// JSON, but no object.
        case notAnObject = "not_an_object"
        case tooDeep = "too_deep"
        case tooComplex = "too_complex"
        /// A CSV file's first row names no members.
        case header
        /// A row has more or fewer columns than the header.
        case columns
        /// A quote is not closed, or stands where none may.
        case quote
        /// What is packed is not whole or its sum is wrong.
        case damaged
        /// Unpacked it is many times as large as packed.
        case bomb
        /// It changed, or ends in the midst of something.
        case incomplete
    }

    /// What it breaks.
    package let rule: Rule
    /// What is wrong, and what would help.
    package let description: String

    package init(_ rule: Rule, _ description: String) {
        self.rule = rule
        self.description = description
    }

    /// Said of the row that names a file's members.
    var ofHeader: FileFault { FileFault(rule, "its first row \(description)") }

    static let noUTF8 = FileFault(.notUTF8, "is no UTF-8; convert it, such as by iconv -f LATIN1 -t UTF-8")
}
