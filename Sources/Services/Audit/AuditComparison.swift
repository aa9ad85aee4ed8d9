import Bytes
import Records
import Store

/// What the comparison of a range came to.
struct AuditOutcome: Sendable {
    var documents: Int64 = 0
    var embedded = 0
    var refused: Int64 = 0
    var findings: [AuditFinding] = []
    var repairs: [AuditRepair] = []
}

/// What puts a document right.
struct AuditRepair: Sendable {
    /// The place of the line that is to be written again; nil where the document is to go.
    var place: Int?
    /// The number of the content that is to be hidden; nil where nothing is shown.
    var hidden: Int64?
    /// Whether that content is damaged.
    var isDamaged = false
    /// Numbers of its vectors that are wrong.
    var vectors: [Int64] = []
}

/// Compares the lines of one range of source offsets with the index, and the other way round.
struct AuditComparison {
    let window: AuditWindow
    let generation: AuditedGeneration
    let index: any AuditIndex
    let options: AuditOptions
    let store: AuditLane

    /// How far from 1 the length of a vector of 16-bit numbers may be.
    private static let normSlack = 0.01
    /// Cosine of the same text's vectors below which one of them is another's: batches round otherwise.
    private static let cosineMin: Float = 0.95

    /// A line whose document the index shows as it stands there.
    private struct Pair {
        let place: Int
        let document: GoldDocument
        let shown: AuditedKey.Shown
        let passages: [IndexedPassage]
    }

    func run() async throws -> AuditOutcome {
        var outcome = AuditOutcome()
        let pairs = try await compareKeys(&outcome)
        try await findExtra(&outcome)
        let (generation, window) = (generation, window)
        let ids = pairs.map(\.shown.documentID)
        let held = try await store.run { try $0.passages(of: ids) }
        let vectorIDs = held.values.joined().compactMap(\.vectorID)
        let sampled = sample(held)
        let vectors = try await store.run {
            try $0.vectors(vectorIDs, model: generation.model, sampled: Array(sampled))
        }
        let swapped = try await swapped(pairs, held, vectors, sampled, &outcome)
        for pair in pairs {
            let passages = held[pair.shown.documentID] ?? []
            guard let (fault, bad) = try fault(of: pair, passages, vectors, swapped) else { continue }
            outcome.findings.append(
                AuditFinding(
                    fault: fault, source: window.source, offset: window.lines[pair.place].offset,
                    document: "\(pair.document.key)"))
            outcome.repairs.append(
                AuditRepair(place: pair.place, hidden: pair.shown.documentID, isDamaged: true, vectors: bad))
        }
        return outcome
    }

    // MARK: Documents

    /// - Returns: what is shown as it should be, as far as its row tells.
    private func compareKeys(_ outcome: inout AuditOutcome) async throws -> [Pair] {
        var lines: [(place: Int, offset: Int64, document: GoldDocument)] = []
        for (place, line) in window.lines.enumerated() {
            guard let document = line.document, document.operation != .deleteBelow else { continue }
            lines.append((place, line.offset, document))
        }
        let (generation, source) = (generation.generation, window.source)
        let asked = lines.map { (offset: $0.offset, document: $0.document) }
        let keys = try await store.run { try $0.keys(generation, source, of: asked) }
        guard keys.count == lines.count else { throw AuditError(description: "the index was not read as a whole") }
        var pairs: [Pair] = []
        for (line, key) in zip(lines, keys) {
            if key.isRefused { outcome.refused += 1 }
            guard let fault = fault(of: key, line.document, at: line.offset) else {
                guard let shown = key.shown, isAt(shown, line.offset), line.document.operation == .put else { continue }
                outcome.documents += 1
                pairs.append(
                    Pair(
                        place: line.place, document: line.document, shown: shown,
                        passages: try index.passages(of: line.document)))
                continue
            }
            outcome.findings.append(
                AuditFinding(fault: fault, source: source, offset: line.offset, document: "\(line.document.key)"))
            outcome.repairs.append(
                AuditRepair(
                    place: fault == .extra ? nil : line.place, hidden: key.shown?.documentID,
                    isDamaged: fault == .changed && key.shown != nil))
        }
        return pairs
    }

    private func isAt(_ shown: AuditedKey.Shown, _ offset: Int64) -> Bool {
        shown.source == window.source && shown.offset == offset
    }

    /// What a row tells of a line; the highest version wins, and of equal ones the later record.
    private func fault(of key: AuditedKey, _ document: GoldDocument, at offset: Int64) -> AuditFault? {
        guard document.operation == .put else {
            guard let shown = key.shown, shown.version <= document.version else { return nil }
            let isLater = shown.source == window.source && shown.offset > offset
            return isLater ? nil : .extra
        }
        guard let shown = key.shown else {
            return key.isDeleted || key.isRefused || isExpired(document) ? nil : .missing
        }
        if shown.version > document.version { return nil }
        if shown.version < document.version { return key.isDeleted || key.isRefused ? nil : .changed }
        if shown.contentHash == IndexText.clean(document.contentHash) {
            return !isAt(shown, offset) || shown.title == IndexText.clean(document.title) ? nil : .changed
        }
        if shown.source == window.source { return shown.offset > offset ? nil : .changed }
        return nil
    }

    private func isExpired(_ document: GoldDocument) -> Bool {
        options.expiries.contains { expiry in
            expiry.tenant == document.tenant && expiry.collection == document.collection && expiry.days > 0
                && document.eventTimeMilliseconds < SystemClock.epochMilliseconds() - Int64(expiry.days) * 86_400_000
        }
    }

    /// Rows at offsets of the range where the lake has no such document.
    private func findExtra(_ outcome: inout AuditOutcome) async throws {
        struct Place: Hashable {
            let offset: Int64
            let key: [String]
        }
        var known: Set<Place> = []
        for line in window.lines {
            guard let document = line.document, document.operation == .put else { continue }
            known.insert(
                Place(
                    offset: line.offset,
                    key: [
                        document.tenant.text, IndexText.clean(document.collection.text),
                        IndexText.clean(document.docID),
                    ]))
        }
        let (generation, window) = (generation.generation, window)
        let rows = try await store.run { try $0.rows(generation, window.source, in: window.range) }
        let hidden = Set(outcome.repairs.compactMap(\.hidden))
        for row in rows where !known.contains(Place(offset: row.offset, key: [row.tenant, row.collection, row.docID])) {
            guard !hidden.contains(row.documentID) else { continue }
            outcome.findings.append(
                AuditFinding(
                    fault: .extra, source: window.source, offset: row.offset,
                    document: "\(row.tenant)/\(row.collection)/\(row.docID)"))
            outcome.repairs.append(AuditRepair(hidden: row.documentID))
        }
    }

    // MARK: Passages and vectors

    /// Passages whose vectors are made again.
    private func sample(_ held: [Int64: [AuditedPassage]]) -> Set<Int64> {
        guard !index.modelName.isEmpty, generation.modelName == index.modelName else { return [] }
        let share = options.sample.map { Double($0) / Double(max(1, generation.passages)) } ?? 1
        return Set(
            held.values.joined().compactMap(\.vectorID).filter { _ in share >= 1 || Double.random(in: 0..<1) < share })
    }

    /// Vectors that are another text's.
    private func swapped(
        _ pairs: [Pair], _ held: [Int64: [AuditedPassage]], _ vectors: [Int64: AuditedVector], _ sampled: Set<Int64>,
        _ outcome: inout AuditOutcome
    ) async throws -> Set<Int64> {
        var texts: [(id: Int64, text: String, numbers: [Float])] = []
        for pair in pairs {
            for (passage, wanted) in zip(held[pair.shown.documentID] ?? [], pair.passages) {
                guard let id = passage.vectorID, sampled.contains(id), let numbers = vectors[id]?.numbers else {
                    continue
                }
                texts.append((id, wanted.text, numbers))
            }
        }
        var swapped: Set<Int64> = []
        for start in stride(from: 0, to: texts.count, by: 64) {
            let part = texts[start..<min(start + 64, texts.count)]
            let again = try await index.embed(part.map(\.text))
            guard again.count == part.count else {
                throw AuditError(description: "\(again.count) vectors for \(part.count) texts")
            }
            outcome.embedded += part.count
            for (text, vector) in zip(part, again) where vector.count == text.numbers.count {
                let cosine = zip(text.numbers, vector).reduce(Float(0)) { $0 + $1.0 * $1.1 }
                if cosine < Self.cosineMin { swapped.insert(text.id) }
            }
        }
        return swapped
    }

    /// What is wrong with a content, and the vectors that are.
    private func fault(
        of pair: Pair, _ held: [AuditedPassage], _ vectors: [Int64: AuditedVector], _ swapped: Set<Int64>
    ) throws -> (AuditFault, [Int64])? {
        guard held.count == pair.passages.count else { return (.changed, []) }
        for (passage, wanted) in zip(held, pair.passages) {
            guard passage.number == wanted.number, passage.text == IndexText.clean(wanted.text),
                wanted.hash.map({ passage.hash == IndexText.clean($0) }) ?? true
            else { return (.changed, []) }
        }
        if held.contains(where: { !$0.hasWords }) { return (.words, []) }
        guard generation.model > 0 else { return nil }
        if pair.shown.model != generation.model {
            // Where the embedder refuses a text, its document is found by its words alone.
            return pair.shown.model == 0 && held.allSatisfy { $0.vectorID == nil } ? nil : (.vectorModel, [])
        }
        let isComparable = generation.modelName == index.modelName
        let hashes = isComparable ? try index.inputHashes(of: pair.passages.map(\.text)) : []
        for (place, passage) in held.enumerated() {
            guard let id = passage.vectorID, let vector = vectors[id] else { return (.vectorMissing, []) }
            if abs(vector.norm - 1) > Self.normSlack { return (.vectorNorm, [id]) }
            if swapped.contains(id) { return (.vectorSwapped, [id]) }
            if hashes.indices.contains(place), hashes[place] != vector.inputHash { return (.vectorSwapped, []) }
        }
        return nil
    }
}
