import Retrieval
import Zstd

extension ArmsState {
    /// Keeps what hits show of a document; nothing where it is not shown, or has other passages.
    func keep(_ passages: [Candidate], of document: Int64) {
        let slots = slots(of: document)
        guard !slots.isEmpty, slots.count == passages.count else { return }
        rows?.add(passages, at: slots.lowerBound)
    }

    /// What hits show of passages; nil where it is not there of all of them, or more bytes than some would be unpacked.
    func candidates(at slots: [Int], bytesMax: Int) -> [Candidate]? {
        guard !slots.isEmpty else { return [] }
        guard let rows else { return nil }
        var candidates: [Candidate] = []
        var left = bytesMax
        do {
            var decompressor = try Decompressor()
            // Many hits may be of one long document.
            var unpacked: (first: Int, row: [UInt8])?
            for slot in slots {
                let first = self.slots(of: documentOf[slot]).lowerBound
                if unpacked?.first != first {
                    guard
                        let row = rows.unpacked(
                            at: first, &decompressor, bytesMax: min(left, RowTable.rowBytesMax))
                    else { return nil }
                    left -= row.count
                    unpacked = (first, row)
                }
                guard let row = unpacked?.row else { return nil }
                var candidate = try PackedRow.passage(slot - first, of: row)
                candidate.passageID = passages[slot]
                candidates.append(candidate)
            }
        } catch {
            return nil
        }
        return candidates
    }

    /// Documents of a collection whose events are the oldest; of equally old ones at the end all.
    func oldest(_ countMax: Int, turn: Int) -> [Int64] {
        guard collectionCount > 0 else { return [] }
        let collection = UInt32(turn % collectionCount)
        var ages: [Int64] = []
        forEachDocument(of: collection) { slot in ages.append(-times[slot]) }
        let least = largest(min(countMax, ages.count), of: ages) ?? .max
        var found: [Int64] = []
        forEachDocument(of: collection) { slot in if -times[slot] >= least { found.append(documentOf[slot]) } }
        return Array(found.prefix(2 * countMax))
    }

    /// Calls `body` with the first slot of each document of a collection that is shown.
    private func forEachDocument(of collection: UInt32, _ body: (Int) -> Void) {
        shown.forEach { slot in
            guard collectionOf[slot] == collection else { return }
            // What was shown anew may stand right behind what it was before.
            let isSecond = slot > 0 && documentOf[slot - 1] == documentOf[slot] && shown.contains(slot - 1)
            if !isSecond { body(slot) }
        }
    }
}
