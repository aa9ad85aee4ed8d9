import Records

/// What of arms goes into a file: all that was there at one version. Tables only grow, so what was there stays where it was while
/// more is shown; what was hidden since is hidden again by whoever follows the index from that version.
struct ArmsCut {
    let head: ArmsFileHead
    private let shown: SlotSet
    private let ordered: Int
    private let attributes: [(name: AttributeName, values: Int)]
    private let rows: RowTable?
    /// Those of then: where others are learnt meanwhile, they are written as they were.
    private let lists: CoarseLists?

    private static let passagesMax = 1 << 16
    private static let wordsMax = 1 << 16
    /// Slots of one entry of attributes.
    private static let slotsMax = 1 << 18

    /// Nil where it is not known when the version came to be.
    init?(_ state: ArmsState) {
        guard let stamp = state.stamp else { return nil }
        var collections = [String](repeating: "", count: state.collections.count)
        for (name, number) in state.collections { collections[Int(number)] = name }
        head = ArmsFileHead(
            slots: state.passages.count, vectors: state.vectors.count, words: state.words.words.count,
            version: state.version, stamp: stamp, collections: collections, bytes: state.size.bytes)
        shown = state.shown
        ordered = min(state.words.words.ordered.count, state.words.words.count)
        attributes = state.attributes.columns.map { ($0.key, $0.value.values.count) }.sorted { $0.0 < $1.0 }
        rows = state.rows
        lists = state.vectors.coarse
    }

    /// Whether it can go on: not where rows were given up meanwhile.
    func holds(_ state: ArmsState) -> Bool { rows == nil || state.rows === rows }

    func head(_ identity: ArmsIdentity) -> PieceBytes {
        var writer = PackedWriter()
        identity.write(to: &writer)
        head.write(to: &writer)
        var piece = PieceBytes()
        piece.append(writer.bytes)
        return piece
    }

    /// Where the next piece begins.
    struct Place {
        var kind: PieceKind
        /// A slot, a vector, a word, a value of an attribute.
        var next = 0
        /// Within the list of that.
        var within = 0
        /// Of an attribute.
        var column = 0

        static let first = Place(kind: .vectors)
    }

    struct Next {
        var kind: PieceKind
        /// Nil where there is nothing of that kind.
        var piece: PieceBytes?
        var following: Place
    }

    /// The piece at a place, and where the one behind it begins; nil behind the last.
    func piece(at place: Place, of state: ArmsState) -> Next? {
        var piece = PieceBytes()
        var following = place
        switch place.kind {
        case .vectors: following = vectors(at: place, state, &piece)
        case .passages: following = passages(at: place, state, &piece)
        case .shown:
            piece.append(numbers: shown.words[...])
            following = Place(kind: .words)
        case .words: following = words(at: place, state.words, &piece)
        case .order:
            piece.append(
                numbers: state.words.words.ordered.filter { $0 < UInt32(min(ordered, head.words)) }[...])
            following = Place(kind: .postings)
        case .postings: following = postings(at: place, state.words, &piece)
        case .attributes: following = attributes(at: place, state.attributes, &piece)
        case .rows: following = rows(at: place, &piece)
        case .dictionary:
            piece.append(rows?.dictionary ?? [])
            following = Place(kind: .centres)
        case .centres:
            lists.map { CoarsePieces.write($0, to: &piece) }
            following = Place(kind: .lists)
        case .lists: following = lists(at: place, &piece)
        case .head, .end: return nil
        }
        return Next(kind: place.kind, piece: piece.count > 0 ? piece : nil, following: following)
    }

    private func vectors(at place: Place, _ state: ArmsState, _ piece: inout PieceBytes) -> Place {
        let arm = state.vectors
        let size = 8 * arm.codeWords + 2 * arm.dimensions + 12
        let inBlock = place.next % VectorArm.blockSlots
        let count = min(head.vectors - place.next, VectorArm.blockSlots - inBlock, max(1, PieceFile.pieceBytes / size))
        guard count > 0 else { return Place(kind: .passages) }
        let block = arm.table.blocks[place.next / VectorArm.blockSlots]
        piece.append(UInt32(count))
        piece.append(numbers: state.vectorIDs[place.next..<(place.next + count)])
        piece.append(
            numbers: UnsafeBufferPointer(start: block.codes + inBlock * arm.codeWords, count: count * arm.codeWords))
        piece.append(
            numbers: UnsafeBufferPointer(start: block.halves + inBlock * arm.dimensions, count: count * arm.dimensions))
        piece.append(numbers: UnsafeBufferPointer(start: block.scales + inBlock, count: count))
        return Place(kind: .vectors, next: place.next + count)
    }

    private func passages(at place: Place, _ state: ArmsState, _ piece: inout PieceBytes) -> Place {
        let slots = place.next..<min(head.slots, place.next + Self.passagesMax)
        guard !slots.isEmpty else { return Place(kind: .shown) }
        piece.append(UInt32(slots.count))
        piece.append(numbers: state.passages[slots])
        piece.append(numbers: state.documentOf[slots])
        piece.append(numbers: state.vectorOf[slots])
        piece.append(numbers: state.times[slots])
        piece.append(numbers: state.lengths[slots])
        piece.append(numbers: state.collectionOf[slots])
        return Place(kind: .passages, next: slots.upperBound)
    }

    private func words(at place: Place, _ arm: WordArm, _ piece: inout PieceBytes) -> Place {
        let numbers = place.next..<min(head.words, place.next + Self.wordsMax)
        guard let last = numbers.last else { return Place(kind: .order) }
        let (start, ends) = (arm.words.start(of: numbers.lowerBound), arm.words.ends)
        piece.append(UInt32(numbers.count))
        piece.append(numbers: arm.ids[numbers])
        piece.append(numbers: numbers.map { UInt32(ends[$0] - arm.words.start(of: $0)) }[...])
        piece.append(arm.words.bytes[start..<ends[last]])
        return Place(kind: .words, next: numbers.upperBound)
    }

    private func postings(at place: Place, _ arm: WordArm, _ piece: inout PieceBytes) -> Place {
        var place = place
        while place.next < head.words, !piece.isFull {
            let list = arm.postings[place.next]
            // In the order of slots: what came later is at the end.
            var end = list.count
            while end > place.within, list[end - 1] >> 32 >= UInt64(head.slots) { end -= 1 }
            let count = min(end - place.within, PieceFile.pieceBytes / 8)
            if count > 0 {
                piece.append(UInt32(place.next))
                piece.append(UInt32(count))
                piece.append(numbers: list[place.within..<(place.within + count)])
            }
            place.within += max(0, count)
            if place.within >= end { (place.next, place.within) = (place.next + 1, 0) }
        }
        return place.next < head.words ? place : Place(kind: .attributes)
    }

    private func attributes(at place: Place, _ arm: AttributeArm, _ piece: inout PieceBytes) -> Place {
        guard place.column < attributes.count else { return Place(kind: .rows) }
        let (name, values) = attributes[place.column]
        guard let column = arm.columns[name] else {
            return Place(kind: .attributes, column: place.column + 1)
        }
        var place = place
        var writer = PackedWriter()
        writer.text(name.text)
        while place.next < values, writer.bytes.count < PieceFile.pieceBytes {
            let list = column.slots[place.next]
            var end = list.count
            while end > place.within, list[end - 1] >= UInt32(head.slots) { end -= 1 }
            let slots = list[place.within..<min(max(end, place.within), place.within + Self.slotsMax)]
            if !slots.isEmpty {
                PackedRow.write(column.values[place.next], to: &writer)
                writer.count(slots.count)
                var before: UInt32 = 0
                for slot in slots {
                    writer.number(UInt64(slot - before))
                    before = slot
                }
            }
            place.within += slots.count
            if place.within >= end { (place.next, place.within) = (place.next + 1, 0) }
        }
        piece.append(writer.bytes)
        return place.next < values ? place : Place(kind: .attributes, column: place.column + 1)
    }

    private func rows(at place: Place, _ piece: inout PieceBytes) -> Place {
        var place = place
        guard let rows else { return Place(kind: .dictionary) }
        while place.next < head.slots, !piece.isFull {
            if shown.contains(place.next), let row = rows.packed(at: place.next) {
                piece.append(UInt32(place.next))
                piece.append(UInt32(row.count))
                piece.append(row)
            }
            place.next += 1
        }
        return place.next < head.slots ? place : Place(kind: .dictionary)
    }

    private func lists(at place: Place, _ piece: inout PieceBytes) -> Place {
        guard let lists else { return Place(kind: .end) }
        let slots = place.next..<min(lists.listOf.count, head.vectors, place.next + PieceFile.pieceBytes / 4)
        guard slots.lowerBound < slots.upperBound else { return Place(kind: .end) }
        piece.append(numbers: lists.listOf[slots])
        return Place(kind: .lists, next: slots.upperBound)
    }
}
