/// A WordPiece vocabulary as two byte tries: pieces that begin a word, and pieces that continue one (`##…`).
///
/// Walking a trie finds the longest piece in one pass over the bytes; a piece found in valid UTF-8 always ends where a
/// scalar ends, because the pieces are valid UTF-8 themselves.
struct Vocabulary: Sendable {
    /// Ids of the special tokens.
    let unknown: Int32, classification: Int32, separator: Int32
    /// Texts such as `[SEP]`, which the reference takes for the special token wherever they stand; with their ids.
    let specialTokens: [(text: [UInt8], id: Int32)]
    let count: Int

    static let wordRoot: Int32 = 0
    static let continuationRoot: Int32 = 1

    // Edges in one open-addressed table: key = node << 8 | byte (never 0: no piece has a NUL), value = child node.
    private var keys: [UInt32]
    private var children: [Int32]
    private var pieceOfNode: [Int32] = [-1, -1]
    private let mask: Int

    /// - Parameter bytes: one piece per line, the line number being its id.
    init(bytes: [UInt8], path: String) throws(EmbeddingError) {
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        let capacity = max(1024, Self.tableSize(edgesMax: bytes.count))
        keys = [UInt32](repeating: 0, count: capacity)
        children = [Int32](repeating: 0, count: capacity)
        mask = capacity - 1
        var specials: [String: Int32] = [:]
        var count = 0
        var pieces: [(piece: ArraySlice<UInt8>, id: Int32)] = []
        pieces.reserveCapacity(lines.count)
        for (number, line) in lines.enumerated() {
            let piece = line.last == 0x0D ? line.dropLast() : line
            guard !piece.isEmpty else { continue }
            count = number + 1
            pieces.append((piece, Int32(number)))
            if piece.first == UInt8(ascii: "["), piece.count <= 6 {
                specials[String(decoding: piece, as: UTF8.self)] = Int32(number)
            }
        }
        guard let unknown = specials["[UNK]"], let classification = specials["[CLS]"],
            let separator = specials["[SEP]"]
        else {
            throw EmbeddingError(
                .model, "read the vocabulary \(path)", reason: "it lacks [UNK], [CLS] or [SEP]",
                hint: "MODEL_DIR must hold the vocab.txt of a BERT model")
        }
        self.unknown = unknown
        self.classification = classification
        self.separator = separator
        self.count = count
        specialTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].compactMap { name in
            specials[name].map { (Array(name.utf8), $0) }
        }
        for (piece, id) in pieces {
            if piece.starts(with: [0x23, 0x23]), piece.count > 2 {
                insert(piece.dropFirst(2), root: Self.continuationRoot, id: id)
            } else {
                insert(piece, root: Self.wordRoot, id: id)
            }
        }
    }

    /// A power of two at least twice the edges, of which there are no more than bytes.
    private static func tableSize(edgesMax: Int) -> Int {
        1 << (Int.bitWidth - (edgesMax * 2 - 1).leadingZeroBitCount)
    }

    private mutating func insert(_ piece: ArraySlice<UInt8>, root: Int32, id: Int32) {
        var node = root
        for byte in piece where byte != 0 {
            let key = UInt32(bitPattern: node) << 8 | UInt32(byte)
            var slot = Self.hash(key) & mask
            while keys[slot] != 0, keys[slot] != key { slot = (slot + 1) & mask }
            if keys[slot] == 0 {
                keys[slot] = key
                children[slot] = Int32(pieceOfNode.count)
                pieceOfNode.append(-1)
            }
            node = children[slot]
        }
        pieceOfNode[Int(node)] = id
    }

    @inline(__always)
    private static func hash(_ key: UInt32) -> Int { Int((key &* 0x9E37_79B1) >> 11) }

    /// The longest piece at the start of `bytes[start...]`.
    ///
    /// - Returns: its id and its end, or nil where none fits.
    @inline(__always)
    func longestPiece(in bytes: UnsafeBufferPointer<UInt8>, from start: Int, root: Int32) -> (id: Int32, end: Int)? {
        var node = root
        var found: (id: Int32, end: Int)?
        var position = start
        while position < bytes.count {
            let key = UInt32(bitPattern: node) << 8 | UInt32(bytes[position])
            var slot = Self.hash(key) & mask
            while keys[slot] != key {
                if keys[slot] == 0 { return found }
                slot = (slot + 1) & mask
            }
            node = children[slot]
            position += 1
            let piece = pieceOfNode[Int(node)]
            if piece >= 0 { found = (piece, position) }
        }
        return found
    }
}
