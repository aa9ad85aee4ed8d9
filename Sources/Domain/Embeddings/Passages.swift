/// Cuts a text into passages: parts that are embedded one by one.
package enum Passages {
    /// Cuts at whitespace, greedily from the left, so that each passage fits the model; a text that fits is one passage.
    ///
    /// A word that does not fit by itself (text in a script without spaces) is cut between characters. The result
    /// depends only on the text, the vocabulary and `maxTokens`. Empty text gives one empty passage.
    ///
    /// - Parameter maxTokens: tokens per passage, `[CLS]` and `[SEP]` included.
    package static func split(_ text: String, tokenizer: WordPieceTokenizer, maxTokens: Int = 256) -> [String] {
        let room = max(maxTokens - 2, 1)
        // No byte makes more than one token, so most texts need no counting.
        if text.utf8.count <= room || tokenizer.encode(text, maxTokens: maxTokens + 1).count <= maxTokens {
            return [text]
        }
        var passages: [String] = []
        var start: String.Index?
        var end = text.startIndex
        var used = 0
        func close() {
            if let first = start { passages.append(String(text[first..<end])) }
            start = nil
            used = 0
        }
        for word in text.split(whereSeparator: \.isWhitespace) {
            for part in parts(of: word, tokenizer: tokenizer, room: room) {
                let count = tokenizer.tokenCount(String(part)) - 2
                if used + count > room { close() }
                if start == nil { start = part.startIndex }
                end = part.endIndex
                used += count
            }
        }
        close()
        return passages.isEmpty ? [text] : passages
    }

    /// The word itself, or halves of halves that fit.
    private static func parts(of word: Substring, tokenizer: WordPieceTokenizer, room: Int) -> [Substring] {
        guard word.utf8.count > room, tokenizer.tokenCount(String(word)) - 2 > room else { return [word] }
        let half = word.count / 2
        guard half > 0 else { return [word] }
        let middle = word.index(word.startIndex, offsetBy: half)
        return parts(of: word[..<middle], tokenizer: tokenizer, room: room)
            + parts(of: word[middle...], tokenizer: tokenizer, room: room)
    }
}
