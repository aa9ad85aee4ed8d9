package import Records
package import Retrieval
import Synchronization

/// What a tenant sees of one generation, as both arms need it, in memory: vectors, postings, attributes, and who belongs to
/// whom.
///
/// It is made of what Postgres says and follows its index versions. A search reads one version: who writes waits until
/// nobody reads.
///
/// `@unchecked Sendable` because the arms are classes without locks: they are used within ``lock`` alone, and nothing of
/// them leaves a call.
package final class ArmsIndex: @unchecked Sendable {
    let lock = ReaderWriterLock()
    let state: ArmsState
    /// Scratch of searches that ended, for those that begin.
    private let scratches = ScratchPool()
    private let versionNow: Atomic<Int64>
    private let extentNow: Mutex<ArmsExtent>
    private let teacher = CoarseTeacher()

    /// - Parameter dimensions: of the vectors; 0 where there are none.
    package convenience init(dimensions: Int) { self.init(ArmsState(dimensions: dimensions)) }

    /// - Parameter state: nobody else's.
    init(_ state: ArmsState) {
        self.state = state
        versionNow = Atomic(state.version)
        extentNow = Mutex(ArmsExtent(state))
    }

    /// Collections that it has, or had.
    package var collectionCount: Int { lock.reading { state.collectionCount } }

    /// Documents that were shown or hidden since it was made.
    package var changes: Int { lock.reading { state.changes } }

    /// What it showed and hid last.
    package var log: ChangeLog { state.log }

    /// Documents that were hidden since it was made.
    package var hides: Int { lock.reading { state.hides } }

    /// What tells how long a search takes. Waits for no change, so that it may be asked on any thread.
    package var extent: ArmsExtent { extentNow.withLock { $0 } }

    /// Makes some changes at once: no search sees some of them.
    package func change(_ body: (borrowing Editor) -> Void) {
        let isLearningDue = lock.writing {
            body(Editor(state: state))
            state.noteChanges()
            versionNow.store(state.version, ordering: .releasing)
            let extent = ArmsExtent(state)
            extentNow.withLock { $0 = extent }
            return state.isLearningDue
        }
        if isLearningDue { teacher.begin(self) }
    }

    /// Begins to learn where a search looks first, on a thread of its own, where that is due.
    func learnIfDue() { if lock.reading({ state.isLearningDue }) { teacher.begin(self) } }

    /// Learns no more by itself where a search looks first: nobody is going to search it. Who is learning gives it up soon, and
    /// with it the memory.
    package func abandon() { teacher.abandon() }

    /// Those of some vectors that are not there.
    package func missing(vectors ids: Set<Int64>) -> [Int64] {
        lock.reading { ids.filter { !state.knows(vector: $0) } }
    }

    /// Those of some words that are not there.
    package func missing(words ids: Set<Int32>) -> [Int32] {
        lock.reading { ids.filter { !state.words.knows($0) } }
    }

    /// Whether what hits show is kept, of all documents or some.
    package var keepsRows: Bool { lock.reading { state.rows != nil } }

    /// Documents of which it is wanted and not there what hits show, in the order of their numbers.
    package var rowless: [Int64] { lock.reading { state.rowless.sorted() } }

    /// The documents of the oldest events of a collection.
    ///
    /// - Parameter turn: which collection; they take turns.
    package func oldest(_ countMax: Int, turn: Int) -> [Int64] {
        lock.reading { state.oldest(countMax, turn: turn) }
    }

    /// How large it is, and how far.
    package var size: ArmsSize { lock.reading { state.size } }

    /// The index version that it is at. Waits for nobody, so that it may be asked on any thread.
    package var version: Int64 { versionNow.load(ordering: .acquiring) }

    /// The index version that it is at, and when that came to be, as the index says; nil where that is not known.
    package var reached: (version: Int64, stamp: Int64?) { lock.reading { (state.version, state.stamp) } }

    /// Words that passages have and that begin in some way, those of most passages first.
    ///
    /// - Parameters:
    ///   - among: how many are looked at, in the order of their bytes.
    ///   - limit: how many are wanted.
    package func words(beginningWith prefix: String, among lookedAt: Int, limit: Int) -> [String] {
        lock.reading { state.words.words(beginningWith: prefix, among: lookedAt, limit: limit) }
    }

    /// As ``words(beginningWith:among:limit:)``; nil where it would have to wait for a change.
    package func wordsAtOnce(beginningWith prefix: String, among lookedAt: Int, limit: Int) -> [String]? {
        lock.tryReading { state.words.words(beginningWith: prefix, among: lookedAt, limit: limit) }
    }

    /// Both arms' places for a query, fused, at the version that it is at.
    package func search(_ query: ArmsQuery) -> ArmsFound {
        let vector = query.vector.map { VectorArm.Query($0) }
        return scratches.lending { scratch in
            lock.reading { state.search(query, vector, &scratch) }
        }
    }

    /// As ``search(_:)``; nil where it would have to wait for a change.
    package func searchAtOnce(_ query: ArmsQuery) -> ArmsFound? {
        let vector = query.vector.map { VectorArm.Query($0) }
        return scratches.lending { scratch in
            lock.tryReading { state.search(query, vector, &scratch) }
        }
    }

    /// Makes changes, within ``ArmsIndex/change(_:)``.
    package struct Editor: ~Copyable {
        fileprivate let state: ArmsState

        /// Sets the version that all changes together lead to.
        ///
        /// - Parameter stamp: when it came to be, as the index says; nil where that is not known.
        package func reach(version: Int64, stamp: Int64? = nil) {
            (state.version, state.stamp, state.isReached) = (version, stamp, true)
        }

        /// Adds a vector of half-precision numbers; one that is there stays.
        package func add(vector id: Int64, _ halves: [UInt16]) { state.add(vector: id, halves) }

        /// Adds a word of the index by its number there.
        package func add(word text: String, id: Int32) { state.words.add(word: text, id: id) }

        /// Shows a document; one that is shown already is hidden first.
        package func show(_ document: ArmsDocument) { state.show(document) }

        /// Hides a document; one that is not shown stays so.
        ///
        /// - Parameter words: of its passages, each as often as passages have it.
        package func hide(document id: Int64, words: [Int32] = []) {
            guard state.hide(document: id) else { return }
            for word in words { state.words.forget(word) }
        }

        /// Keeps what hits show of a document that is shown, where rows are kept.
        ///
        /// - Parameter passages: all of the document's, in their order.
        package func keep(_ passages: [Candidate], of document: Int64) { state.keep(passages, of: document) }

        /// Notes documents of which it is to be kept what hits show.
        package func wantRows(of documents: [Int64]) {
            if state.rows != nil { state.rowless.formUnion(documents) }
        }

        /// Those up to a number are wanted no more: they are there, or cannot be kept.
        package func wantNoRows(upTo document: Int64) { state.rowless = state.rowless.filter { $0 > document } }

        /// Gives up what hits show, for the sake of the room that it takes.
        package func giveUpRows() { (state.rows, state.rowless) = (nil, []) }

        /// Begins to keep what hits show again.
        package func beginRows() { if state.rows == nil { state.rows = RowTable() } }

        /// Hides the documents of passages that are gone from the index, though no version says so.
        package func hide(passages ids: Set<Int64>) { for id in ids { state.hide(passage: id) } }

        /// Hides documents that are gone from the index, though no version says so.
        package func hide(gone ids: [Int64]) { for id in ids { state.hide(document: id) } }

        /// Adds the postings of a word of passages that are shown; others are left out.
        package func add(postings: [(passage: Int64, weight: Int32)], of word: Int32) {
            state.add(postings: postings, of: word)
        }
    }
}

/// A document as the arms know it.
package struct ArmsDocument: Sendable {
    /// Its number in the index.
    package var id: Int64
    package var collection: String
    package var language: String
    package var eventTimeMilliseconds: Int64
    /// The collection's own.
    package var attributes: AttributeList
    /// By their number in the document: numbers of passages and vectors in the index.
    package var passages: [(id: Int64, vector: Int64?)]

    package init(
        id: Int64, collection: String, language: String, eventTimeMilliseconds: Int64, attributes: AttributeList,
        passages: [(id: Int64, vector: Int64?)]
    ) {
        self.id = id
        self.collection = collection
        self.language = language
        self.eventTimeMilliseconds = eventTimeMilliseconds
        self.attributes = attributes
        self.passages = passages
    }
}

/// What tells how long a search in arms takes.
package struct ArmsExtent: Sendable, Equatable {
    /// Numbers of a vector; 0 where there are no vectors.
    package var dimensions: Int
    package var vectors: Int
    /// Passages, those that were hidden among them: sets of passages have room for all.
    package var passages: Int
    package var documents: Int
    /// Documents of which it is there what hits show; nil where it is kept of none.
    package var rows: Int?
}

extension ArmsExtent {
    init(_ state: ArmsState) {
        self.init(
            dimensions: state.vectors.dimensions, vectors: state.vectors.count, passages: state.passages.count,
            documents: state.documents.count, rows: state.rows?.count)
    }
}

/// How large arms are.
package struct ArmsSize: Sendable, Equatable {
    package var version: Int64
    package var documents: Int
    /// Passages that are shown.
    package var passages: Int
    /// Passages that were hidden, and take room until all is loaded anew.
    package var hidden: Int
    package var vectors: Int
    package var vectorBytes: Int
    package var wordBytes: Int
    /// Of attributes and of who belongs to whom.
    package var tableBytes: Int
    /// Of what hits show.
    package var rowBytes: Int
    /// Documents of which it is there what hits show.
    package var rows: Int
    package var bytes: Int { vectorBytes + wordBytes + tableBytes + rowBytes }
}
