import Arms
import Retrieval

/// What hits show, in bounded pages.
extension ArmsFeed {
    /// Documents whose rows are kept at once: searches wait for no more.
    private static let atOnceMax = 50
    private static let documentsMax = 500

    /// Keeps the rows of the next documents of arms, as of the version that these are at.
    ///
    /// - Parameter after: the number of the document before them; -1 for the first.
    /// - Returns: the number of the last one; nil where there were no more.
    func loadRows(_ index: ArmsIndex, generation: Int64, after: Int64) throws(IndexError) -> Int64? {
        let rows = try run(
            ListArmsRows(tenant: tenant, generation: generation, version: index.version, after: after))
        guard let last = rows.last?.document else { return nil }
        let documents = Self.whole(rows)
        Self.keep(documents, in: index)
        // One that fills a page by itself is fetched whenever it is found.
        return documents.last?.id ?? last
    }

    /// Keeps the rows of documents that were shown since they were kept last.
    func addRows(to index: ArmsIndex, generation: Int64) throws(IndexError) {
        while true {
            let wanted = Array(index.rowless.prefix(Self.documentsMax))
            guard let last = wanted.last else { return }
            let rows = try run(
                FindArmsRows(
                    tenant: tenant, documents: wanted, generation: generation, version: index.version))
            let documents = Self.whole(rows)
            Self.keep(documents, in: index)
            // One that fills a page by itself is fetched whenever it is found.
            let isFull = rows.count == ArmsRow.passagesMax
            let reached = isFull ? documents.last?.id ?? rows.last?.document ?? last : last
            index.change { $0.wantNoRows(upTo: reached) }
        }
    }

    /// The same; where they cannot be read, all rows are given up, and what hits show is fetched: no row keeps a document from being
    /// found.
    func addRowsOrNone(to index: ArmsIndex, generation: Int64) throws(IndexError) {
        do throws(IndexError) {
            try addRows(to: index, generation: generation)
        } catch {
            guard Self.isOfRows(error) else { throw error }
            index.change { $0.giveUpRows() }
        }
    }

    /// Whether a failure is one that the rows themselves cause, so that it comes again.
    static func isOfRows(_ error: IndexError) -> Bool {
        guard let kind = error.underlying?.kind, !error.isOfUnreachable else { return false }
        return kind == .decode || kind == .timeout || kind == .server
    }

    /// Those of some documents that the index no longer shows, though no version says so.
    func gone(among ids: [Int64], of index: ArmsIndex, generation: Int64) throws(IndexError) -> [Int64] {
        guard !ids.isEmpty else { return [] }
        return try run(
            FindArmsGone(tenant: tenant, documents: ids, generation: generation, version: index.version))
    }

    /// Passages come in the order of their documents. Of a full page the last document may not be whole.
    private static func whole(_ rows: [ArmsRow]) -> [(id: Int64, passages: [Candidate])] {
        var documents: [(id: Int64, passages: [Candidate])] = []
        for row in rows {
            if documents.last?.id != row.document { documents.append((row.document, [])) }
            documents[documents.count - 1].passages.append(row.passage)
        }
        if rows.count == ArmsRow.passagesMax { documents.removeLast() }
        return documents
    }

    private static func keep(_ documents: [(id: Int64, passages: [Candidate])], in index: ArmsIndex) {
        var rest = documents[...]
        while !rest.isEmpty {
            index.change { editor in
                for document in rest.prefix(atOnceMax) { editor.keep(document.passages, of: document.id) }
            }
            rest = rest.dropFirst(atOnceMax)
        }
    }
}
