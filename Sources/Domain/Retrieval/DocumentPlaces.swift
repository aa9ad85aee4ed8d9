extension ReciprocalRankFusion {
    /// One candidate for each document of some passages, with the places that its best passages have in the arms: of these passages
    /// the one that counts more. A document's place in an arm is that of its best passage there.
    package static func documents(
        of passages: [Candidate], weights: FusionWeights = FusionWeights()
    ) -> [Candidate] {
        var order: [DocumentName] = []
        var best: [DocumentName: (vector: Candidate?, lexical: Candidate?)] = [:]
        for passage in passages where passage.vector != nil || passage.lexical != nil {
            let name = DocumentName(collection: passage.collection, docID: passage.docID)
            if best[name] == nil { order.append(name) }
            var known = best[name] ?? (nil, nil)
            if isBetter(passage.vector, known.vector?.vector) { known.vector = passage }
            if isBetter(passage.lexical, known.lexical?.lexical) { known.lexical = passage }
            best[name] = known
        }
        return order.compactMap { name in
            guard let (vector, lexical) = best[name] else { return nil }
            let places = (vector?.vector, lexical?.lexical)
            let isOfWords = weights.lexicalShare(of: places.1) > weights.vectorShare(of: places.0)
            guard var shown = isOfWords ? lexical ?? vector : vector ?? lexical else { return nil }
            (shown.vector, shown.lexical) = places
            return shown
        }
    }

    private static func isBetter(_ place: ArmPlace?, _ known: ArmPlace?) -> Bool {
        guard let place else { return false }
        return known.map { place.rank < $0.rank } ?? true
    }

    private struct DocumentName: Hashable {
        let collection: String
        let docID: String
    }
}
