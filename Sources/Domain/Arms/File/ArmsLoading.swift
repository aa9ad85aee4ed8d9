import Records

/// Makes arms of a file's pieces. Whatever these say, nothing is read or written where nothing is.
struct ArmsLoading {
    let head: ArmsFileHead
    private let state: ArmsState
    private let rows = RowTable()
    private var order: [UInt32] = []
    private var hasShown = false
    private var kind = PieceKind.vectors
    private var coarse = CoarsePieces()

    /// Bytes that each slot, vector (besides its numbers) and word takes in a file at least.
    private static let (slotBytes, vectorBytes, wordBytes) = (36, 12, 8)

    /// - Parameter fileBytes: how long the file is: what cannot be in it gets no room.
    /// - Throws: where the head promises more.
    init(
        _ head: ArmsFileHead, dimensions: Int, fileBytes: Int, coarse: CoarseSettings, effort: VectorArm.Effort
    ) throws(ArmsFileError) {
        guard head.slots <= fileBytes / Self.slotBytes, head.words <= fileBytes / Self.wordBytes,
            head.vectors <= fileBytes / (Self.vectorBytes + 2 * dimensions)
        else { throw ArmsFileError("it is shorter than it says") }
        self.head = head
        state = ArmsState(dimensions: dimensions, coarse: coarse, effort: effort)
        for name in head.collections { _ = state.number(of: name) }
        // Their order is in the file.
        state.words.words = WordTable()
    }

    /// That the tables take in memory.
    var bytes: Int { state.size.bytes + rows.memoryBytes }

    mutating func take(_ kind: PieceKind, _ piece: inout PieceContent) throws {
        // What later pieces name is in earlier ones.
        guard kind.rawValue >= self.kind.rawValue else { throw Self.senseless }
        self.kind = kind
        switch kind {
        case .vectors: try takeVectors(&piece)
        case .passages: try takePassages(&piece)
        case .shown:
            guard !hasShown, state.passages.count == head.slots else { throw Self.senseless }
            hasShown = true
            state.shown = SlotSet(words: try piece.numbers(piece.rest.count / 8, of: UInt64(0)))
        case .words: try takeWords(&piece)
        case .order: order = try piece.numbers(piece.rest.count / 4, of: UInt32(0))
        case .postings: try takePostings(&piece)
        case .attributes: try takeAttributes(&piece)
        case .rows: try takeRows(&piece)
        case .dictionary: rows.take(dictionary: piece.rest)
        case .centres, .lists: coarse.take(kind, &piece, dimensions: state.vectors.dimensions)
        case .head, .end: throw Self.senseless
        }
    }

    private static let senseless = ArmsFileError("a piece makes no sense")

    private func takeVectors(_ piece: inout PieceContent) throws {
        let arm = state.vectors
        let count = Int(try piece.number())
        guard count > 0, count <= head.vectors - arm.count,
            count <= VectorArm.blockSlots - arm.count % VectorArm.blockSlots
        else {
            throw Self.senseless
        }
        let ids = try piece.numbers(count, of: Int64(0))
        for (place, id) in ids.enumerated() { state.vectorSlots[id] = UInt32(arm.count + place) }
        state.vectorIDs.append(contentsOf: ids)
        arm.add(
            count, codes: try piece.numbers(count * arm.codeWords, of: UInt64(0)),
            halves: try piece.numbers(count * arm.dimensions, of: UInt16(0)),
            scales: try piece.numbers(count, of: Float(0)))
    }

    private func takePassages(_ piece: inout PieceContent) throws {
        let count = Int(try piece.number())
        guard count <= head.slots - state.passages.count else { throw Self.senseless }
        state.passages.append(contentsOf: try piece.numbers(count, of: Int64(0)))
        state.documentOf.append(contentsOf: try piece.numbers(count, of: Int64(0)))
        state.vectorOf.append(contentsOf: try piece.numbers(count, of: UInt32(0)))
        state.times.append(contentsOf: try piece.numbers(count, of: Int64(0)))
        state.lengths.append(contentsOf: try piece.numbers(count, of: Int32(0)))
        state.collectionOf.append(contentsOf: try piece.numbers(count, of: UInt32(0)))
    }

    private func takeWords(_ piece: inout PieceContent) throws {
        let arm = state.words
        let count = Int(try piece.number())
        let (ids, lengths) = (try piece.numbers(count, of: Int32(0)), try piece.numbers(count, of: UInt32(0)))
        for (id, length) in zip(ids, lengths) {
            let text = String(decoding: try piece.numbers(Int(length), of: UInt8(0)), as: UTF8.self)
            let number = arm.postings.count
            arm.add(word: text, id: id)
            guard arm.postings.count == number + 1, number < head.words else { throw Self.senseless }
        }
    }

    private func takePostings(_ piece: inout PieceContent) throws {
        let arm = state.words
        while !piece.isAtEnd {
            let (word, count) = (Int(try piece.number()), Int(try piece.number()))
            let list = try piece.numbers(count, of: UInt64(0))
            guard word < arm.postings.count else { throw Self.senseless }
            var last = arm.postings[word].last ?? 0
            for posting in list {
                guard posting >= last, posting >> 32 < UInt64(head.slots) else { throw Self.senseless }
                last = posting
            }
            arm.add(read: list, of: word)
        }
    }

    private func takeAttributes(_ piece: inout PieceContent) throws {
        guard state.passages.count == head.slots else { throw Self.senseless }
        var reader = PackedReader(piece.rest)
        guard let name = AttributeName(try reader.text()) else { throw Self.senseless }
        while !reader.isAtEnd {
            let value = try PackedRow.value(from: &reader)
            var slots: [Int] = []
            var slot: UInt64 = 0
            for _ in 0..<(try reader.count()) {
                let step = try reader.number()
                guard step < UInt64(head.slots) else { throw Self.senseless }
                slot += step
                guard slot < UInt64(head.slots) else { throw Self.senseless }
                slots.append(Int(slot))
            }
            state.attributes.add(name, value, to: slots)
        }
    }

    private func takeRows(_ piece: inout PieceContent) throws {
        guard state.passages.count == head.slots else { throw Self.senseless }
        while !piece.isAtEnd {
            let (slot, count) = (Int(try piece.number()), Int(try piece.number()))
            guard slot < head.slots else { throw Self.senseless }
            rows.add(packed: try piece.numbers(count, of: UInt8(0)), at: slot)
        }
    }

    // MARK: What follows from the tables

    /// Slots or words between two checks whether to continue.
    private static let stepMax = 1 << 16

    /// The arms, once all pieces were taken.
    ///
    /// - Parameter goesOn: asked now and then; false gives it up.
    /// - Throws: ``ArmsFileError``, ``ArmsReadingGivenUp``.
    consuming func finished(_ goesOn: () -> Bool) throws -> ArmsState {
        guard hasShown || head.slots == 0, state.passages.count == head.slots, state.vectors.count == head.vectors,
            state.vectorSlots.count == head.vectors, state.words.words.count == head.words,
            state.collections.count == head.collections.count
        else { throw Self.senseless }
        try settlePassages(goesOn)
        try settleWords(goesOn)
        (state.version, state.stamp) = (head.version, head.stamp)
        state.rows = rows
        try settleLists(goesOn)
        return state
    }

    private func settlePassages(_ goesOn: () -> Bool) throws {
        state.newest = [UInt32](repeating: ArmsState.none, count: head.vectors)
        state.users = [UInt32](repeating: 0, count: head.vectors)
        state.older = [UInt32](repeating: ArmsState.none, count: head.slots)
        var shown: [Int] = []
        state.shown.forEach { shown.append($0) }
        guard shown.last ?? -1 < head.slots else { throw Self.senseless }
        state.shown.grow(to: head.slots)
        for (place, slot) in shown.enumerated() {
            if place % Self.stepMax == 0, !goesOn() { throw ArmsReadingGivenUp() }
            let (collection, vector) = (Int(state.collectionOf[slot]), Int(state.vectorOf[slot]))
            guard collection < head.collections.count, vector == Int(ArmsState.none) || vector < head.vectors else {
                throw Self.senseless
            }
            let document = state.documentOf[slot]
            let before = state.documents[document] ?? UInt32(slot)..<UInt32(slot)
            // A document's passages stand behind one another, and each passage is one document's.
            guard before.upperBound == UInt32(slot), state.passageSlots[state.passages[slot]] == nil else {
                throw Self.senseless
            }
            state.documents[document] = before.lowerBound..<UInt32(slot + 1)
            state.passageSlots[state.passages[slot]] = UInt32(slot)
            state.totals[collection].passages += 1
            state.totals[collection].words += Int(state.lengths[slot])
            guard vector != Int(ArmsState.none) else { continue }
            state.older[slot] = state.newest[vector]
            state.newest[vector] = UInt32(slot)
            state.users[vector] += 1
            state.vectors.mark(vector, isUsed: true)
        }
        // Those that are not shown are looked at by nobody but through their numbers.
        for slot in 0..<head.slots where !state.shown.contains(slot) { state.vectorOf[slot] = ArmsState.none }
    }

    /// Where there are none, or none that make sense, they are learnt again.
    private func settleLists(_ goesOn: () -> Bool) throws {
        let arm = state.vectors
        guard let lists = coarse.lists(vectors: arm.count) else { return }
        guard lists.follow(arm.table, arm.used, goesOn: goesOn) else { throw ArmsReadingGivenUp() }
        lists.beginWatching()
        _ = arm.install(lists)
    }

    private func settleWords(_ goesOn: () -> Bool) throws {
        let arm = state.words
        guard order.count <= head.words, order.allSatisfy({ $0 < order.count }) else { throw Self.senseless }
        arm.words.order(as: order)
        for word in arm.postings.indices {
            if word % Self.stepMax == 0, !goesOn() { throw ArmsReadingGivenUp() }
            arm.live[word] = arm.postings[word].reduce(0) { $0 + (state.shown.contains(Int($1 >> 32)) ? 1 : 0) }
        }
    }
}
