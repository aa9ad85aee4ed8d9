import JSONScan
import Retrieval

/// A model's text as sentences with what they cite, each as soon as it is whole.
package struct ReplySentences {
    private let asked: ReplyForm
    /// How the text turned out to be written; nil before its first letter.
    package private(set) var form: ReplyForm?
    private var text = ""
    private var json = SentenceObjects()
    private var proposed = 0

    /// Sentences that are looked at, however many come.
    private static let sentencesMax = 64

    /// - Parameter asked: what the model was asked for; one that writes plain text instead is read all the same.
    package init(asked: ReplyForm) { self.asked = asked }

    /// Takes more text.
    package mutating func feed(_ more: String) -> [ProposedSentence] {
        guard proposed < Self.sentencesMax else { return [] }
        if form == nil {
            text = String(more.drop(while: \.isWhitespace))
            guard let first = text.first else { return [] }
            // Some wrap JSON into a fence.
            let isJSON = asked == .json && (first == "{" || first == "`" || first == "[")
            form = isJSON ? .json : .marks
            let all = text
            text = ""
            return feed(all)
        }
        let found = form == .json ? json.feed(more) : marks(more, isEnd: false)
        return bounded(found)
    }

    /// Ends the text.
    package mutating func finish() -> [ProposedSentence] {
        form == .marks ? bounded(marks("", isEnd: true)) : []
    }

    /// Whether the model said that the passages do not hold the answer.
    package var isRefusal: Bool {
        if form == .json { return json.isRefused }
        return proposed == 0 && whole.contains(ExtractiveAnswerer.refusal.dropLast().lowercased())
    }

    /// Whether there was nothing that could be read.
    package var isGarbage: Bool { proposed == 0 && !isRefusal && !(form == .json && json.isWhole) }

    /// The beginning of a text with marks, in lower case.
    private var whole = ""
    /// Whether there may be a mark in what is held.
    private var hasBracket = false
    /// Whether a mark was found that may go on, or stands at the end of what came.
    private var isWaiting = false
    /// UTF-8 offset in what is held before which no mark begins.
    private var searched = 0
    /// Text that is held without a mark, and a sentence.
    private static let unmarkedBytesMax = 4_096

    /// Several sentences in one are judged each by itself.
    private mutating func bounded(_ found: [ProposedSentence]) -> [ProposedSentence] {
        var result: [ProposedSentence] = []
        for sentence in found where sentence.text.utf8.count <= Self.unmarkedBytesMax {
            for piece in Sentences.split(sentence.text, joinsShort: false) where proposed < Self.sentencesMax {
                proposed += 1
                result.append(ProposedSentence(text: piece, citations: sentence.citations))
            }
        }
        return result
    }

    /// Text ends with its marks: `… [1][3].`, `… . [2, 3]`.
    private mutating func marks(_ more: String, isEnd: Bool) -> [ProposedSentence] {
        hasBracket = hasBracket || more.utf8.contains(UInt8(ascii: "["))
        if whole.utf8.count < 2_048 { whole += more.lowercased().replacing("’", with: "'") }
        append(more)
        // Only what closes a bracket makes a mark.
        guard isEnd || isWaiting || hasBracket && more.utf8.contains(UInt8(ascii: "]")) else {
            // Nobody cites what is that long.
            if text.utf8.count > Self.unmarkedBytesMax { drop(before: text.endIndex) }
            return []
        }
        var result: [ProposedSentence] = []
        var (start, search) = (text.startIndex, text.utf8.index(text.startIndex, offsetBy: searched))
        isWaiting = false
        while proposed + result.count < Self.sentencesMax {
            guard let cut = Self.firstCut(text, search: search) else {
                search = text.index(text.endIndex, offsetBy: -Self.markCharactersMax, limitedBy: search) ?? search
                break
            }
            guard isEnd || !cut.mayGoOn else {
                (search, isWaiting) = (cut.open, true)
                break
            }
            var said = Self.clean(text[start..<cut.open])
            if let point = cut.point, let last = said.last, !Self.points.contains(last) { said.append(point) }
            if !said.isEmpty { result.append(ProposedSentence(text: said, citations: cut.numbers)) }
            (start, search) = (cut.end, cut.end)
        }
        searched = text.utf8.distance(from: start, to: search)
        drop(before: start)
        if text.utf8.count > Self.unmarkedBytesMax { drop(before: text.endIndex) }
        return result
    }

    /// Keeps one of several white spaces in a row: an end of a line, if there is one.
    private mutating func append(_ more: String) {
        var isSpace = text.last?.isWhitespace ?? false
        for character in more {
            guard character.isWhitespace else {
                text.append(character)
                isSpace = false
                continue
            }
            if !isSpace {
                text.append(character)
                isSpace = true
            } else if character.isNewline, text.last?.isNewline == false {
                text.removeLast()
                text.append(character)
            }
        }
    }

    private mutating func drop(before start: String.Index) {
        if start == text.endIndex { (searched, isWaiting) = (0, false) }
        if start > text.startIndex { text = String(text[start...]) }
        hasBracket = text.utf8.contains(UInt8(ascii: "["))
    }

    /// A run of marks.
    private struct Cut {
        var numbers: [Int]
        var open: String.Index
        /// What ends the sentence behind the marks.
        var point: Character?
        var end: String.Index
        /// Whether what has not come yet may be another mark.
        var mayGoOn: Bool
    }

    /// The first run of marks behind `search`.
    private static func firstCut(_ text: String, search: String.Index) -> Cut? {
        var search = search
        while let open = text[search...].firstIndex(of: "[") {
            guard let first = mark(text, at: open) else {
                search = text.index(after: open)
                continue
            }
            var numbers = first.numbers
            var end = first.end
            for _ in 1..<runMax {
                let next = text[end...].prefix(markCharactersMax).drop { $0 == " " || $0 == "," }
                guard let bracket = next.indices.first, let more = mark(text, at: bracket) else { break }
                numbers += more.numbers
                end = more.end
            }
            let point = text[end...].first.flatMap { points.contains($0) ? $0 : nil }
            if point != nil { end = text.index(after: end) }
            let gap = text[end...].prefix(markCharactersMax)
            let rest = gap.drop { $0.isWhitespace || $0 == "," }
            let mayBeMark = rest.isEmpty || rest.first == "[" && !rest.contains("]")
            return Cut(
                numbers: numbers, open: open, point: point, end: end,
                mayGoOn: mayBeMark && gap.count < markCharactersMax)
        }
        return nil
    }

    private static let points: Set<Character> = [".", "!", "?", "。", "！", "？"]
    /// Marks of one run.
    private static let runMax = 16
    private static let markCharactersMax = 40

    private static func mark(_ text: String, at open: String.Index) -> (numbers: [Int], end: String.Index)? {
        guard text[open] == "[", let close = text[open...].prefix(markCharactersMax).firstIndex(of: "]") else {
            return nil
        }
        let parts = text[text.index(after: open)..<close].split(whereSeparator: { ",; ".contains($0) })
        let numbers = parts.compactMap { Int($0.drop { !$0.isNumber }) }
        guard !parts.isEmpty, numbers.count == parts.count else { return nil }
        return (numbers, text.index(after: close))
    }

    /// Without the marks of lists and emphasis.
    private static func clean(_ text: Substring) -> String {
        var result = Substring(text.replacing("**", with: ""))
        while let first = result.first, first.isWhitespace || "-*•#>.".contains(first) { result.removeFirst() }
        while let last = result.last, last.isWhitespace { result.removeLast() }
        return String(result)
    }
}

/// Finds `{"text", "citations"}` in JSON that is still being written.
private struct SentenceObjects {
    private var bytes: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    /// Where the object that may be a sentence begins.
    private var start: Int?
    private(set) var isRefused = false
    /// Whether the outermost value was closed and is what was asked for.
    private(set) var isWhole = false

    private static let bytesMax = 1 << 20

    mutating func feed(_ more: String) -> [ProposedSentence] {
        var found: [ProposedSentence] = []
        for byte in more.utf8 where bytes.count < Self.bytesMax && !isWhole {
            if depth == 0, byte != UInt8(ascii: "{") { continue }
            bytes.append(byte)
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == 0x22 {
                    isInString = false
                }
                continue
            }
            switch byte {
            case 0x22: isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth == 3, byte == UInt8(ascii: "{") { start = bytes.count - 1 }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 2, let start, let sentence = Self.sentence(Array(bytes[start...])) {
                    found.append(sentence)
                }
                if depth == 2 { start = nil }
                if depth == 0 { end() }
            default: break
            }
        }
        return found
    }

    private mutating func end() {
        guard let json = try? JSONValue.parse(bytes), json["sentences"]?.array != nil || json["refused"]?.bool != nil
        else {
            // Another value may follow that is.
            bytes.removeAll(keepingCapacity: true)
            return
        }
        isWhole = true
        isRefused = json["refused"]?.bool ?? false
    }

    private static func sentence(_ bytes: [UInt8]) -> ProposedSentence? {
        guard let json = try? JSONValue.parse(bytes), let text = json["text"]?.string else { return nil }
        let numbers = (json["citations"]?.array ?? []).compactMap { value in
            (value.integer ?? value.string.flatMap { Int64($0.filter(\.isNumber)) }).flatMap { Int(exactly: $0) }
        }
        return ProposedSentence(text: text, citations: numbers)
    }
}
