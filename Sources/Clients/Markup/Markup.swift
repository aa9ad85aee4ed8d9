import CMarkup

/// What a document in HTML or Markdown says: its plain text, and what it says of itself.
package struct MarkupText: Sendable, Equatable {
    /// UTF-8: paragraphs with a blank line between them, without what is no text: scripts, styles, navigation, forms.
    package var text: [UInt8]
    /// HTML's `<title>`; empty where there is none.
    package var title: String
    /// The first heading with a text; empty where there is none.
    package var heading: String
    /// As `<html lang>` has it, such as `de-DE`; empty where there is none.
    package var language: String
    /// The canonical link as it stands in the head of HTML; empty where there is none.
    package var url: String

    package init(text: [UInt8], title: String = "", heading: String = "", language: String = "", url: String = "") {
        self.text = text
        self.title = title
        self.heading = heading
        self.language = language
        self.url = url
    }
}

/// Why a document cannot be read.
package enum MarkupError: Error, CustomStringConvertible {
    case tooDeep
    case tooComplex
    case outOfMemory

    package var description: String {
        switch self {
        case .tooDeep: "more than \(Int(MARKUP_DEPTH_MAX)) elements lie one within the other"
        case .tooComplex:
            "reading its markup takes more than \(Int(MARKUP_MEMORY_MAX) >> 20) MiB, or more than "
                + "\(Int(MARKUP_STEPS_MAX) >> 20) Mi steps through what lies one within the other; cut it"
        case .outOfMemory: "there is no memory to read it"
        }
    }
}

/// Reads HTML 5 (by Gumbo) and Markdown with GitHub's tables (by cmark-gfm). Any thread may call it.
///
/// Memory and steps are bounded, so that a document is read or refused alike on every machine; and, as a far bound, the time of
/// the processor.
package enum Markup {
    /// - Parameter bytes: UTF-8.
    package static func html(_ bytes: [UInt8]) throws(MarkupError) -> MarkupText { try read(bytes, markup_html) }

    /// - Parameter bytes: UTF-8.
    package static func markdown(_ bytes: [UInt8]) throws(MarkupError) -> MarkupText {
        try read(bytes, markup_markdown)
    }

    private static func read(
        _ bytes: [UInt8], _ library: (UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<markup_document>?) -> Int32
    ) throws(MarkupError) -> MarkupText {
        // The libraries want a place, also for no bytes at all.
        guard !bytes.isEmpty else { return MarkupText(text: []) }
        var document = markup_document()
        defer { markup_release(&document) }
        let status = bytes.withUnsafeBufferPointer { library($0.baseAddress, $0.count, &document) }
        switch Int(status) {
        case Int(MARKUP_OK): break
        case Int(MARKUP_TOO_DEEP): throw .tooDeep
        case Int(MARKUP_TOO_COMPLEX): throw .tooComplex
        default: throw .outOfMemory
        }
        // Both libraries put U+FFFD in the place of what is no UTF-8; what they return is UTF-8 where the bytes are.
        return MarkupText(
            text: Array(UnsafeBufferPointer(start: document.text.start, count: document.text.length)),
            title: text(document.title), heading: text(document.heading), language: text(document.lang),
            url: text(document.url))
    }

    private static func text(_ span: markup_span) -> String {
        String(decoding: UnsafeBufferPointer(start: span.start, count: span.length), as: UTF8.self)
    }
}
