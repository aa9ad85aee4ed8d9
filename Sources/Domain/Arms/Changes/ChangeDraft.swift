/// The changes that are being made at once, until they are all made and can be noted.
struct ChangeDraft {
    private enum Part {
        case hidden([Int64])
        case shown(ArmsDocument, Range<Int>)
    }

    private var parts: [Part] = []
    /// Of passages that are being shown: the numbers of their words in the index, with their weights.
    private var words: [UInt32: [(word: Int32, weight: Int32)]] = [:]
    /// Passages from this slot on are being shown.
    private(set) var firstSlot = UInt32.max

    mutating func hide(_ passages: [Int64]) { parts.append(.hidden(passages)) }

    mutating func show(_ document: ArmsDocument, at slots: Range<Int>) {
        parts.append(.shown(document, slots))
        firstSlot = min(firstSlot, UInt32(slots.lowerBound))
    }

    mutating func add(_ entries: [(slot: UInt32, weight: Int32)], of word: Int32) {
        for (slot, weight) in entries where slot >= firstSlot { words[slot, default: []].append((word, weight)) }
    }

    var isEmpty: Bool { parts.isEmpty }

    /// What it comes to, of an index in which all of it is made.
    func changes(of state: ArmsState) -> [LoggedChange] {
        let totals = state.totals(of: nil)
        let count = Double(max(totals.passages, 1))
        let length = max(Double(totals.words) / count, 1)
        return parts.map { part in
            switch part {
            case .hidden(let passages): .hidden(passages)
            case .shown(let document, let slots):
                .shown(
                    LoggedDocument(
                        document, passages: slots.map { passage(at: $0, of: state) }, passageCount: count,
                        lengthMean: length))
            }
        }
    }

    private func passage(at slot: Int, of state: ArmsState) -> LoggedPassage {
        let vector = state.vectorOf[slot]
        let table = state.vectors.table
        let logged = (words[UInt32(slot)] ?? []).compactMap { entry in
            state.words.numbers[entry.word].map { number in
                LoggedWord(
                    hash: state.words.hash(of: number), weight: UInt32(bitPattern: entry.weight),
                    passages: UInt32(clamping: state.words.count(of: number)))
            }
        }
        let hasVector = vector != ArmsState.none
        return LoggedPassage(
            id: state.passages[slot],
            halves: hasVector
                ? Array(UnsafeBufferPointer(start: table.halves(of: Int(vector)), count: table.dimensions)) : [],
            scale: hasVector ? table.scale(of: Int(vector)) : 0, words: logged.sorted { $0.hash < $1.hash })
    }
}

extension WordArm {
    /// Of a word's text.
    fileprivate func hash(of number: Int) -> UInt64 {
        LoggedWord.hash(words.bytes[words.start(of: number)..<words.ends[number]])
    }
}
