import Arms
import Postgres
import Records

/// Reads out of Postgres what arms in memory are made of, for one tenant, in bounded pages of short statements. One thread's.
final class ArmsFeed {
    private let connection: LazyConnection
    let tenant: TenantID
    private let timeoutMilliseconds: Int

    init(_ connection: LazyConnection, tenant: TenantID, timeoutMilliseconds: Int) {
        self.connection = connection
        self.tenant = tenant
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    /// Fills arms with what a generation shows at a version; what changes meanwhile is followed behind it.
    ///
    /// - Parameters:
    ///   - goesOn: asked between two pages, with the bytes that were taken so far; false gives it up.
    /// - Returns: whether all is there.
    func load(
        _ index: ArmsIndex, _ state: ReadArmsState.Row, goesOn: (_ bytes: Int) -> Bool
    ) throws(IndexError) -> Bool {
        if state.model > 0 {
            var after: Int64 = -1
            while true {
                let rows = try run(ListArmsVectors(model: state.model, tenant: tenant, after: after))
                index.change { editor in for row in rows { editor.add(vector: row.id, row.halves) } }
                guard let last = rows.last else { break }
                after = last.id
                guard goesOn(index.size.bytes) else { return false }
            }
        }
        guard try loadDocuments(into: index, state, goesOn), try loadWords(into: index, goesOn) else { return false }
        index.change { $0.reach(version: state.version, stamp: state.stamp) }
        return true
    }

    private func loadDocuments(
        into index: ArmsIndex, _ state: ReadArmsState.Row, _ goesOn: (Int) -> Bool
    ) throws(IndexError) -> Bool {
        var after: Int64 = -1
        while true {
            let rows = try run(
                ListArmsDocuments(tenant: tenant, generation: state.generation, version: state.version, after: after))
            guard let last = rows.last else { return true }
            // Vectors that came since they were read.
            try addVectors(of: rows, to: index, model: state.model)
            index.change { editor in for document in Self.documents(of: rows) { editor.show(document) } }
            after = last.document
            guard goesOn(index.size.bytes) else { return false }
        }
    }

    private func loadWords(into index: ArmsIndex, _ goesOn: (Int) -> Bool) throws(IndexError) -> Bool {
        var after: Int32 = -1
        while true {
            let rows = try run(ListArmsWords(tenant: tenant, after: after))
            index.change { editor in for row in rows { editor.add(word: row.text, id: row.id) } }
            guard let last = rows.last else { break }
            after = last.id
            guard goesOn(index.size.bytes) else { return false }
        }
        var passage: Int64 = -1
        while true {
            let rows = try run(ListArmsTerms(tenant: tenant, after: passage))
            guard let last = rows.last else { return true }
            try add(rows, to: index)
            passage = last.passage
            guard goesOn(index.size.bytes) else { return false }
        }
    }

    /// Brings arms to a version, in steps that each lead to a version.
    ///
    /// - Returns: false where so much changed at once that loading it anew is quicker.
    func follow(_ index: ArmsIndex, _ state: ReadArmsState.Row) throws(IndexError) -> Bool {
        // Those that an earlier failure left.
        try addRowsOrNone(to: index, generation: state.generation)
        while true {
            let reached = index.version
            guard reached < state.version else { return true }
            var span = ArmsSpan(
                tenant: tenant, generation: state.generation, after: reached, upTo: state.version)
            span.upTo = try run(FindArmsStep(span: span)).first ?? state.version
            if try run(EndTooMany(span: span)).first ?? false { return false }
            try step(index, span, state)
        }
    }

    private func step(
        _ index: ArmsIndex, _ span: ArmsSpan, _ state: ReadArmsState.Row
    ) throws(IndexError) {
        let ended = try run(ListArmsEnded(span: span))
        // What is suppressed, or no longer, has no version of its own: it is looked at anew.
        let touched = try run(ListArmsTouched(span: span))
        let restored = touched.isEmpty ? [] : try run(ListArmsRestored(span: span))
        let shown = try restored + run(ListArmsShown(span: span))
        let documents = Self.documents(of: shown)
        try addVectors(of: shown, to: index, model: state.model)
        let terms = shown.isEmpty ? [] : try run(FindArmsTerms(tenant: tenant, passages: shown.map(\.passage)))
        let lists = Self.byWord(terms)
        try addWords(of: lists, to: index)
        let hidden = Self.endedDocuments(ended) + Self.endedDocuments(touched)
        index.change { editor in
            for document in hidden { editor.hide(document: document.id, words: document.words) }
            for document in documents { editor.show(document) }
            for (word, entries) in lists { editor.add(postings: entries, of: word) }
            editor.wantRows(of: documents.map(\.id))
            editor.reach(version: span.upTo, stamp: span.upTo == state.version ? state.stamp : nil)
        }
        try addRowsOrNone(to: index, generation: span.generation)
    }

    // MARK: Parts

    private func addVectors(
        of rows: [ArmsPassageRow], to index: ArmsIndex, model: Int32
    ) throws(IndexError) {
        guard model > 0 else { return }
        let missing = index.missing(vectors: Set(rows.compactMap(\.vector)))
        guard !missing.isEmpty else { return }
        let found = try run(FindArmsVectors(model: model, tenant: tenant, ids: missing))
        index.change { editor in for row in found { editor.add(vector: row.id, row.halves) } }
    }

    /// The postings of each of some words.
    private typealias Lists = [Int32: [(passage: Int64, weight: Int32)]]

    private func addWords(of lists: Lists, to index: ArmsIndex) throws(IndexError) {
        let missing = index.missing(words: Set(lists.keys))
        guard !missing.isEmpty else { return }
        let found = try run(FindArmsWords(tenant: tenant, ids: missing))
        index.change { editor in for row in found { editor.add(word: row.text, id: row.id) } }
    }

    private func add(_ terms: [ArmsTerms], to index: ArmsIndex) throws(IndexError) {
        let lists = Self.byWord(terms)
        // Those that came since the words were read.
        try addWords(of: lists, to: index)
        index.change { editor in for (word, entries) in lists { editor.add(postings: entries, of: word) } }
    }

    /// Postings of each word in the order of passages, as these come.
    private static func byWord(_ terms: [ArmsTerms]) -> Lists {
        var lists: Lists = [:]
        for passage in terms {
            for (word, weight) in zip(passage.words, passage.weights) {
                lists[word, default: []].append((passage.passage, weight))
            }
        }
        return lists
    }

    /// Passages come in the order of their documents.
    private static func documents(of rows: [ArmsPassageRow]) -> [ArmsDocument] {
        var documents: [ArmsDocument] = []
        for row in rows {
            if documents.last?.id != row.document {
                documents.append(
                    ArmsDocument(
                        id: row.document, collection: row.collection, language: row.language,
                        eventTimeMilliseconds: row.eventTimeMilliseconds, attributes: row.attributes, passages: []))
            }
            documents[documents.count - 1].passages.append((row.passage, row.vector))
        }
        return documents
    }

    private static func endedDocuments(
        _ rows: [(document: Int64, word: Int32?)]
    ) -> [(id: Int64, words: [Int32])] {
        var ended: [(id: Int64, words: [Int32])] = []
        for row in rows {
            if ended.last?.id != row.document { ended.append((row.document, [])) }
            if let word = row.word { ended[ended.count - 1].words.append(word) }
        }
        return ended
    }

    /// Runs a statement that is shown the tenant's rows.
    func run<S: PostgresStatement>(_ statement: S) throws(IndexError) -> [S.Row] {
        var batch = PostgresBatch()
        batch.add(ActForTenant(tenant: tenant))
        let slot = batch.add(statement)
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot)
        }
    }
}
