import Bytes
import LanguageDetection
import Markup
import Sources

/// Makes one document of a file in Markdown, HTML or plain text.
struct WholeDocument {
    /// Of a file, unpacked.
    static let bytesMax = 8 << 20
    /// A title is cut where it is longer: the logic takes 1,024.
    private static let titleBytesMax = 1_000

    /// What becomes of a file's own members; others of these names are passed by.
    private static let ownNames: Set<String> = ["id", "title", "text", "lang", "time", "url"]

    private let shape: DocumentShape
    private let id: String
    private let format: FileFormat
    private let modifiedMilliseconds: Int64?

    /// - Parameters:
    ///   - id: what tells the document from others, such as the file's path in its folder.
    ///   - modifiedMilliseconds: since 1970; nil where that is not known.
    init(_ shape: DocumentShape, id: String, format: FileFormat, modifiedMilliseconds: Int64?) {
        self.shape = shape
        self.id = id
        self.format = format
        self.modifiedMilliseconds = modifiedMilliseconds
    }

    /// Where the source's logic looks for the id, unless another of the document's own members stands there.
    private var idName: String { Self.ownNames.contains(shape.idPath) ? "id" : shape.idPath }

    /// The document as JSON.
    func document(_ bytes: [UInt8]) throws(FileFault) -> [UInt8] {
        guard !shape.idPath.contains(".") else {
            throw FileFault(
                .header,
                "has no member \(shape.idPath), where the source says that the id stands; name one without a dot, such as id"
            )
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw FileFault.noUTF8 }
        guard !bytes.contains(0) else { throw FileFault(.binary, "has a byte 0, so it is no text") }
        let head = format == .html ? nil : FrontMatter(text)
        let markup = try markup(head.map { Array($0.rest.utf8) } ?? bytes)
        let plain = markup.text
        guard !plain.isEmpty else { throw FileFault(.empty, "has no text") }
        var json = JSONWriter(capacity: plain.count + 1_024)
        json.beginObject()
        json.key(dynamic: idName)
        json.string(id)
        json.string("title", Self.cut(title(head, markup)))
        json.key("text")
        plain.withUnsafeBufferPointer { json.string(utf8: $0) }
        if let language = language(head, markup) { json.string("lang", language) }
        if let modifiedMilliseconds { json.string("time", CivilTime.rfc3339(modifiedMilliseconds)) }
        if let url = url(head, markup) { json.string("url", url) }
        for member in head?.members ?? [] where !Self.ownNames.contains(member.name) && member.name != idName {
            json.key(dynamic: member.name)
            var value: [UInt8] = []
            var text = member.value
            text.withUTF8 { DocumentShape.append($0, as: shape.kind(of: member.name), to: &value) }
            json.raw(value)
        }
        json.endObject()
        return json.bytes
    }

    private func markup(_ bytes: [UInt8]) throws(FileFault) -> MarkupText {
        do throws(MarkupError) {
            switch format {
            case .html: return try Markup.html(bytes)
            case .markdown: return try Markup.markdown(bytes)
            case .text, .jsonLines, .csv:
                return MarkupText(text: Self.plain(bytes))
            }
        } catch {
            switch error {
            case .tooDeep: throw FileFault(.tooDeep, "\(error)")
            case .tooComplex: throw FileFault(.tooComplex, "\(error)")
            case .outOfMemory: throw FileFault(.unreadable, "\(error)")
            }
        }
    }

    /// With line feeds alone, and without white space around it.
    private static func plain(_ bytes: [UInt8]) -> [UInt8] {
        var text = bytes[...]
        while let first = text.first, first <= 0x20 { text.removeFirst() }
        while let last = text.last, last <= 0x20 { text.removeLast() }
        return text.filter { $0 != 0x0D }
    }

    // MARK: What it says of itself

    private func title(_ head: FrontMatter?, _ markup: MarkupText) -> String {
        if let title = head?["title"], !title.isEmpty { return title }
        if !markup.title.isEmpty { return markup.title }
        if !markup.heading.isEmpty { return markup.heading }
        let line = markup.text.prefix { $0 != 0x0A }
        return line.isEmpty ? FileKind.plainName(of: id) : String(decoding: line, as: UTF8.self)
    }

    /// Whole characters of a text, as many as a title may have.
    private static func cut(_ title: String) -> String {
        guard title.utf8.count > titleBytesMax else { return title }
        var result = ""
        var bytes = 0
        for scalar in title.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > titleBytesMax { break }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// Nil where it says none and none is found with certainty.
    private func language(_ head: FrontMatter?, _ markup: MarkupText) -> String? {
        for word in [head?["lang"] ?? "", markup.language] {
            let code = word.prefix { $0 != "-" && $0 != "_" }.lowercased()
            let isCode = (2...3).contains(code.utf8.count) && code.utf8.allSatisfy { $0 >= 0x61 && $0 <= 0x7A }
            if isCode { return code }
        }
        guard let found = LanguageDetector.detect(markup.text), found.isReliable else { return nil }
        return found.code
    }

    private func url(_ head: FrontMatter?, _ markup: MarkupText) -> String? {
        for url in [head?["url"] ?? "", markup.url] where url.hasPrefix("https://") || url.hasPrefix("http://") {
            return url
        }
        return nil
    }
}
