import Records

/// The vectors that a write brings, each once. Of several passages that are one input, any may bring the vector; the others must find it
/// also where that one's document is refused, or changes nothing.
struct InputVectors {
    private struct Key: Hashable {
        let model: String
        let input: VectorInput
    }

    private var vectors: [Key: [Float]] = [:]

    init(_ documents: [IndexedDocument]) {
        for document in documents where document.document.operation == .put {
            for passage in document.passages {
                if let vector = passage.embedding { vectors[Self.key(passage, document)] = vector }
            }
        }
    }

    /// Those of some documents by the names of their models, each input once.
    func of(
        _ documents: ArraySlice<IndexedDocument>
    ) -> [(model: String, inputs: [(input: VectorInput, vector: [Float])])] {
        var found: [(model: String, inputs: [(input: VectorInput, vector: [Float])])] = []
        var seen: Set<Key> = []
        for document in documents where document.document.operation == .put {
            for passage in document.passages {
                let key = Self.key(passage, document)
                guard let vector = vectors[key], seen.insert(key).inserted else { continue }
                if found.last?.model != document.model { found.append((document.model, [])) }
                found[found.count - 1].inputs.append((key.input, vector))
            }
        }
        return found
    }

    private static func key(_ passage: IndexedPassage, _ document: IndexedDocument) -> Key {
        Key(model: document.model, input: VectorInput(tenant: document.document.tenant, hash: passage.inputHash))
    }
}
