import Files

/// BERT's uncased WordPiece tokenizer, equal to the reference (the Rust library `tokenizers`) on every text.
///
/// Clean, isolate ideographs, strip accents (canonical decomposition), lower-case, split at spaces and punctuation, then
/// take the longest vocabulary pieces from left to right. A value; sharing it costs nothing.
package struct WordPieceTokenizer: Sendable {
    let vocabulary: Vocabulary
    private let table = UnicodeTable.reference

    /// Reads a `vocab.txt`: one piece per line, the line number being its id. Takes about 20 ms.
    ///
    /// - Throws: ``EmbeddingError`` when the file cannot be read or is no BERT vocabulary.
    package init(vocabularyPath: String) throws {
        let bytes: [UInt8]
        do {
            bytes = try File.contents(of: vocabularyPath, bytesMax: 64 << 20)
        } catch {
            throw EmbeddingError(
                .model, "read the vocabulary", reason: "\(error)", hint: EmbeddingError.modelHint)
        }
        vocabulary = try Vocabulary(bytes: bytes, path: vocabularyPath)
    }

    /// The ids of `[CLS]`, the text's pieces and `[SEP]`; what goes beyond `maxTokens` is cut off before `[SEP]`.
    package func encode(_ text: String, maxTokens: Int = 256) -> [Int32] {
        var ids = [vocabulary.classification]
        let limit = max(maxTokens - 1, 1)
        var text = text
        text.withUTF8 { appendPieces(of: $0, limit: limit, to: &ids) }
        ids.append(vocabulary.separator)
        return ids
    }

    /// Tokens that `encode` would give without a limit, `[CLS]` and `[SEP]` included.
    package func tokenCount(_ text: String) -> Int { encode(text, maxTokens: .max).count }

    /// Appends the pieces of `text` until `ids` has `limit` elements.
    private func appendPieces(of text: UnsafeBufferPointer<UInt8>, limit: Int, to ids: inout [Int32]) {
        var words = WordSplitter(table: table)
        var position = 0
        while position < text.count, ids.count < limit {
            let byte = text[position]
            if byte < 0x80 {
                if byte == UInt8(ascii: "["), let special = specialToken(in: text, at: position) {
                    finish(&words, limit: limit, ids: &ids)
                    if ids.count < limit { ids.append(special.id) }
                    position += special.length
                    continue
                }
                switch asciiClasses[Int(byte)] {
                case 0: break  // control characters vanish, even inside a word
                case 1: finish(&words, limit: limit, ids: &ids)
                case 2:
                    finish(&words, limit: limit, ids: &ids)
                    words.appendASCII(byte)
                    finish(&words, limit: limit, ids: &ids)
                case let lowered: words.appendASCII(lowered)
                }
                position += 1
            } else {
                let (scalar, length) = decodeScalar(text, at: position)
                position += length
                appendScalar(scalar, to: &words, limit: limit, ids: &ids)
            }
        }
        finish(&words, limit: limit, ids: &ids)
    }

    private func appendScalar(_ scalar: UInt32, to words: inout WordSplitter, limit: Int, ids: inout [Int32]) {
        if scalar >= 0xAC00, scalar <= 0xD7A3 {
            words.appendHangul(scalar)
            return
        }
        let entry = table[scalar]
        switch entry.action {
        case .keep: words.append(scalar, combiningClass: entry.combiningClass)
        case .drop: break
        case .dropStarter: words.placeMarks()
        case .replace: place(entry.target, in: &words, limit: limit, ids: &ids)
        case .replaceBySequence:
            for scalar in table.sequences[Int(entry.target)] { place(scalar, in: &words, limit: limit, ids: &ids) }
        case .space: finish(&words, limit: limit, ids: &ids)
        case .isolate: isolate(entry.target, in: &words, limit: limit, ids: &ids)
        case .punctuation: isolate(scalar, in: &words, limit: limit, ids: &ids)
        }
    }

    /// Appends a scalar that normalisation made; it may be punctuation (U+037E becomes a semicolon).
    private func place(_ scalar: UInt32, in words: inout WordSplitter, limit: Int, ids: inout [Int32]) {
        let entry = table[scalar]
        let isPunctuation = scalar < 0x80 ? asciiClasses[Int(scalar)] == 2 : entry.action == .punctuation
        if isPunctuation {
            isolate(scalar, in: &words, limit: limit, ids: &ids)
        } else {
            words.append(scalar, combiningClass: entry.combiningClass)
        }
    }

    private func isolate(_ scalar: UInt32, in words: inout WordSplitter, limit: Int, ids: inout [Int32]) {
        finish(&words, limit: limit, ids: &ids)
        words.append(scalar, combiningClass: 0)
        finish(&words, limit: limit, ids: &ids)
    }

    /// Ends the word, if there is one, and appends its pieces, or `[UNK]` for the whole word where no pieces fit.
    @inline(__always)
    private func finish(_ words: inout WordSplitter, limit: Int, ids: inout [Int32]) {
        words.placeMarks()
        guard words.scalarCount > 0 else { return }
        defer { words.clear() }
        guard ids.count < limit else { return }
        // The reference's max_input_chars_per_word.
        guard words.scalarCount <= WordSplitter.scalarsMax else {
            ids.append(vocabulary.unknown)
            return
        }
        let start = ids.count
        let known = words.bytes.withUnsafeBufferPointer { word in
            var position = 0
            while position < word.count {
                let root = position == 0 ? Vocabulary.wordRoot : Vocabulary.continuationRoot
                guard let piece = vocabulary.longestPiece(in: word, from: position, root: root) else { return false }
                ids.append(piece.id)
                position = piece.end
            }
            return true
        }
        if !known {
            ids.removeSubrange(start...)
            ids.append(vocabulary.unknown)
        }
        if ids.count > limit { ids.removeSubrange(limit...) }
    }

    private func specialToken(
        in text: UnsafeBufferPointer<UInt8>, at position: Int
    ) -> (id: Int32, length: Int)? {
        for (token, id) in vocabulary.specialTokens
        where text[position...].prefix(token.count).elementsEqual(token) { return (id, token.count) }
        return nil
    }
}

/// The normalised bytes of the word being read, and marks that wait for canonical ordering.
private struct WordSplitter {
    /// A longer word is unknown as a whole, so its further bytes are not kept.
    static let scalarsMax = 100

    var bytes: [UInt8] = []
    var scalarCount = 0
    private var marks: [(scalar: UInt32, combiningClass: UInt8)] = []
    private let table: UnicodeTable

    init(table: UnicodeTable) {
        self.table = table
        bytes.reserveCapacity(4 * Self.scalarsMax)
    }

    mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
        scalarCount = 0
    }

    @inline(__always)
    mutating func appendASCII(_ byte: UInt8) {
        placeMarks()
        scalarCount += 1
        if scalarCount <= Self.scalarsMax { bytes.append(byte) }
    }

    mutating func append(_ scalar: UInt32, combiningClass: UInt8) {
        guard combiningClass == 0 else {
            // Canonical ordering: a stable sort by class between two starters. Nearly always there is one mark.
            let index = marks.firstIndex { $0.combiningClass > combiningClass } ?? marks.endIndex
            marks.insert((scalar, combiningClass), at: index)
            return
        }
        placeMarks()
        appendBytes(of: scalar)
    }

    @inline(__always)
    mutating func placeMarks() {
        guard !marks.isEmpty else { return }
        for mark in marks { appendBytes(of: mark.scalar) }
        marks.removeAll(keepingCapacity: true)
    }

    /// The two or three jamo of a precomposed syllable (Unicode Standard, section 3.12).
    mutating func appendHangul(_ syllable: UInt32) {
        let index = syllable - 0xAC00
        append(0x1100 + index / 588, combiningClass: 0)
        append(0x1161 + index % 588 / 28, combiningClass: 0)
        if index % 28 != 0 { append(0x11A7 + index % 28, combiningClass: 0) }
    }

    private mutating func appendBytes(of scalar: UInt32) {
        scalarCount += 1
        guard scalarCount <= Self.scalarsMax, let scalar = Unicode.Scalar(scalar) else { return }
        bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
}

/// Per ASCII byte: 0 vanishes, 1 is a space, 2 is punctuation, else the lower-case byte.
private let asciiClasses: [UInt8] = (0..<128).map { (byte: UInt8) in
    switch byte {
    case 0x09, 0x0A, 0x0D, 0x20: 1
    case 0..<0x20, 0x7F: 0
    case 0x41...0x5A: byte | 0x20
    case 0x30...0x39, 0x61...0x7A: byte
    default: 2
    }
}

/// Decodes the scalar at `position` of valid UTF-8 that is not ASCII there.
@inline(__always)
private func decodeScalar(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> (scalar: UInt32, length: Int) {
    func continuation(_ offset: Int) -> UInt32 { UInt32(text[position + offset] & 0x3F) }
    let lead = UInt32(text[position])
    if lead < 0xE0 { return ((lead & 0x1F) << 6 | continuation(1), 2) }
    if lead < 0xF0 { return ((lead & 0x0F) << 12 | continuation(1) << 6 | continuation(2), 3) }
    return (
        (lead & 0x07) << 18 | continuation(1) << 12 | continuation(2) << 6 | continuation(3), 4
    )
}
