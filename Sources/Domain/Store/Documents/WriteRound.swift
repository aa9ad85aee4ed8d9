import Records

/// Documents that are written by one step, none of them twice: what comes to one document twice, such as two versions, or the
/// same for two generations, is in two rounds, in its order.
struct WriteRound {
    private(set) var puts: [IndexedDocument] = []
    private(set) var deletions: [IndexedDocument] = []

    /// Cuts documents into as few rounds as possible.
    static func rounds(of documents: ArraySlice<IndexedDocument>) -> [WriteRound] {
        var rounds: [WriteRound] = []
        var next: [DocumentKey: Int] = [:]
        for document in documents {
            let place = next[document.document.key, default: 0]
            next[document.document.key] = place + 1
            if place == rounds.count { rounds.append(WriteRound()) }
            switch document.document.operation {
            case .put: rounds[place].puts.append(document)
            case .delete: rounds[place].deletions.append(document)
            // Is about no document: the write makes a floor of it.
            case .deleteBelow: break
            }
        }
        return rounds
    }
}
