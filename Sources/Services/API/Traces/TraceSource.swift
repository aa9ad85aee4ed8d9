package import Bytes
package import JSONScan
package import Records
package import Retrieval

/// Where a line of the lake lies.
package struct LakeLocation: Sendable, Equatable {
    /// Path relative to the lake's folder.
    package var file: String
    /// First byte of the zstd frame that holds the line.
    package var frameOffset: Int64
    /// Bytes of that frame, compressed.
    package var frameLength: Int64
    /// First byte of the line in the decompressed frame; nil where it is not known.
    package var lineOffset: Int64?

    package init(file: String, frameOffset: Int64, frameLength: Int64, lineOffset: Int64? = nil) {
        self.file = file
        self.frameOffset = frameOffset
        self.frameLength = frameLength
        self.lineOffset = lineOffset
    }

    /// Whether it is the address of an object, and not a path.
    package var isRemote: Bool { file.hasPrefix("s3://") }
}

/// A line of Gold or Silver as it was read from the lake, or derived anew, just now.
package struct TraceLine: Sendable {
    /// The line without its newline, one JSON object.
    package var line: [UInt8]
    /// Nil where the line's file is gone with its generation, or not to be had here, and the line was derived anew from the
    /// event by the logic that made it.
    package var location: LakeLocation?

    package init(line: [UInt8], location: LakeLocation?) {
        self.line = line
        self.location = location
    }
}

/// The raw event behind a document, as it was read from Bronze, or from the broker, just now.
package struct TraceBronze: Sendable {
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    /// The broker's, milliseconds since 1970.
    package var timestampMilliseconds: Int64
    package var key: [UInt8]?
    package var headers: [(name: String, value: [UInt8]?)]
    /// The payload, byte for byte; nil for a tombstone.
    package var value: [UInt8]?
    /// SHA-256 of ``value``, computed now, 64 hexadecimal digits.
    package var sha256: String
    /// What the document's lineage says it should be.
    package var lineageSHA256: String
    /// Nil where it was read from the broker.
    package var location: LakeLocation?

    package init(
        topic: String, partition: Int32, offset: Int64, timestampMilliseconds: Int64, key: [UInt8]?,
        headers: [(name: String, value: [UInt8]?)], value: [UInt8]?, sha256: String, lineageSHA256: String,
        location: LakeLocation?
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestampMilliseconds = timestampMilliseconds
        self.key = key
        self.headers = headers
        self.value = value
        self.sha256 = sha256
        self.lineageSHA256 = lineageSHA256
        self.location = location
    }

    /// Where it was read.
    package enum Place: String, CaseIterable, Sendable {
        case disk
        case objectStorage = "object_storage"
        case broker
    }

    /// Where it was read.
    package var place: Place {
        guard let location else { return .broker }
        return location.isRemote ? .objectStorage : .disk
    }

    /// Whether the bytes are those that the document was made from.
    package var isHashRight: Bool { sha256 == lineageSHA256 }
}

/// A passage of the document as the index holds it.
package struct TracePassage: Sendable {
    package var passage: Int32
    package var text: String
    package var textHash: String
    /// Name of the embedding model; nil where the passage has no vector.
    package var model: String?
    /// Index version that made it visible in the generation.
    package var fromVersion: Int64

    package init(passage: Int32, text: String, textHash: String, model: String?, fromVersion: Int64) {
        self.passage = passage
        self.text = text
        self.textHash = textHash
        self.model = model
        self.fromVersion = fromVersion
    }
}

/// An answer that the document went into.
package struct TraceAnswer: Sendable {
    package var id: String
    /// Milliseconds since 1970.
    package var createdAtMilliseconds: Int64
    /// Whether a sentence cites the document; else it was only looked at.
    package var isCited: Bool

    package init(id: String, createdAtMilliseconds: Int64, isCited: Bool) {
        self.id = id
        self.createdAtMilliseconds = createdAtMilliseconds
        self.isCited = isCited
    }
}

/// The logic that made a document, and what it looked at.
package struct TraceLogic: Sendable {
    /// Which logic it is, such as `recent_change`.
    package var kind: String
    /// As the lake stores them, one JSON object.
    package var settingsJSON: [UInt8]
    /// The places in the event that it reads, each with what stands there.
    package var fields: [(path: String, value: JSONValue?)]

    package init(kind: String, settingsJSON: [UInt8], fields: [(path: String, value: JSONValue?)]) {
        self.kind = kind
        self.settingsJSON = settingsJSON
        self.fields = fields
    }
}

/// When an event passed each step on its way to searches, milliseconds since 1970. Nil where nobody noted it.
package struct TraceTimes: Sendable, Equatable {
    /// The steps, in the order in which an event takes them.
    package enum Step: String, CaseIterable, Sendable {
        /// The event's own time.
        case event
        /// The producer had it.
        case received
        /// The broker appended it to its log.
        case broker
        /// The lake's commit.
        case committed
        /// Its vectors were there.
        case embedded
        /// The index transaction that made it visible.
        case indexed
        /// That transaction's commit had returned.
        case searchable
    }

    private var milliseconds: [Step: Int64] = [:]
    /// The lake's commit may have been so many milliseconds earlier: entries of old commits are merged, a minute each.
    package var committedWithin: Int64 = 0

    package init() {}

    /// When an event passed a step.
    package subscript(_ step: Step) -> Int64? {
        get { milliseconds[step] }
        set { milliseconds[step] = newValue }
    }

    /// The way from each known step to the next one: together they are the time from the first known to the last.
    package var steps: [(from: Step, to: Step, milliseconds: Int64)] {
        let known = Step.allCases.compactMap { step in milliseconds[step].map { (step: step, at: $0) } }
        return zip(known, known.dropFirst()).map { (from: $0.step, to: $1.step, milliseconds: $1.at - $0.at) }
    }

    /// From the event to searches; nil where one of the two is not known.
    package var totalMilliseconds: Int64? {
        guard let event = self[.event], let searchable = self[.searchable] else { return nil }
        return searchable - event
    }
}

/// Everything between a document in the index and the raw event.
package struct Trace: Sendable {
    package var docID: String
    package var collection: String
    package var title = ""
    package var url = ""
    package var contentHash: String?
    package var times = TraceTimes()
    /// Nil where the event or the lake's list of generations could not be read.
    package var logic: TraceLogic?
    /// What retention gave up of its events, in words, where nothing is left of them.
    package var expiry: String?
    /// Whether something was left out since it lies farther away than ``TraceReach`` allows.
    package var isShort = false
    package var version: Int64
    package var generation: Int64
    package var indexVersion: Int64
    package var logicVersion: String
    package var qualityFlags: [String]
    /// Rules that looked at the event, as `name` or `name@version`.
    package var rules: [String]
    package var passages: [TracePassage]
    package var gold: TraceLine?
    package var silver: TraceLine?
    package var bronze: [TraceBronze]
    /// The newest answers that it went into, of those that are kept.
    package var answers: [TraceAnswer] = []
    /// What could not be found or does not agree, in words; empty for a complete trace.
    package var problems: [String]
    /// The errors behind the problems, with paths and addresses: for the log and for administrators.
    package var causes: [String] = []

    package init(
        docID: String, collection: String, version: Int64, generation: Int64, indexVersion: Int64, logicVersion: String,
        qualityFlags: [String], rules: [String], passages: [TracePassage], gold: TraceLine?, silver: TraceLine?,
        bronze: [TraceBronze], problems: [String]
    ) {
        self.docID = docID
        self.collection = collection
        self.version = version
        self.generation = generation
        self.indexVersion = indexVersion
        self.logicVersion = logicVersion
        self.qualityFlags = qualityFlags
        self.rules = rules
        self.passages = passages
        self.gold = gold
        self.silver = silver
        self.bronze = bronze
        self.problems = problems
    }
}

/// A citation of an answer with the way from it to the raw event.
package struct TraceCitation: Sendable {
    /// As sentences give it.
    package var number: Int64
    /// The passage's number in its document.
    package var passage: Int64
    /// The passage's text by the Gold line; nil where that could not be had.
    package var text: String?
    package var snippet: String
    package var trace: Trace

    package init(number: Int64, passage: Int64, text: String?, snippet: String, trace: Trace) {
        self.number = number
        self.passage = passage
        self.text = text
        self.snippet = snippet
        self.trace = trace
    }
}

/// An answer with the way from each of its sentences to the raw events.
package struct AnswerTrace: Sendable {
    package var answer: StoredAnswer
    /// How often it was given again.
    package var hits: Int64
    package var sentences: [(text: String, citations: [Int64])]
    package var citations: [TraceCitation]
    /// Of the answer itself; those of its citations are theirs.
    package var problems: [String]
    /// Documents of the answer that are suppressed: what cites them is left out.
    package var withheld = 0

    package init(
        answer: StoredAnswer, hits: Int64, sentences: [(text: String, citations: [Int64])],
        citations: [TraceCitation], problems: [String]
    ) {
        self.answer = answer
        self.hits = hits
        self.sentences = sentences
        self.citations = citations
        self.problems = problems
    }
}

/// How far a trace goes for what it reads.
package enum TraceReach: Sendable {
    /// To the index and to this machine's disk.
    case near
    /// Also to the object storage and the broker, which may take long.
    case far
}

/// Several documents have the id that was asked for.
package struct AmbiguousDocument: Error, Sendable {
    /// Their collections, sorted.
    package let collections: [String]

    package init(collections: [String]) { self.collections = collections }
}

/// Follows a document back to its event. Synchronous (it reads files and the index) and tied to one thread; the API
/// keeps one on a lane of its own, so that a slow disk does not hold up searches.
package protocol TraceSource: AnyObject {
    /// - Parameters:
    ///   - collection: nil for whichever of the tenant has a document of that id.
    ///   - tenant: whose documents are looked at; another's do not exist.
    ///   - generation: nil is the active one.
    ///   - reach: what lies farther away is left out; the trace says so.
    ///   - timeoutMilliseconds: after this long the call gives up and throws.
    /// - Returns: nil where the tenant has no document of that name in the index.
    /// - Throws: ``AmbiguousDocument`` where several are.
    func trace(
        docID: String, collection: String?, tenant: TenantID, generation: Int64?, reach: TraceReach,
        timeoutMilliseconds: Int
    ) throws -> Trace?
    /// From an answer to its events: by what the answer kept, whatever the index shows now.
    ///
    /// - Returns: nil where the tenant has no answer of that id.
    func trace(
        answerID: String, tenant: TenantID, reach: TraceReach, timeoutMilliseconds: Int
    ) throws -> AnswerTrace?
    /// What came of some events, in every generation and among the kept answers, as far as the tenant is shown it.
    ///
    /// - Parameter showsSuppressed: whether documents that are suppressed are listed, too.
    func impact(
        of target: ImpactTarget, tenant: TenantID, limit: Int, showsSuppressed: Bool, timeoutMilliseconds: Int
    ) throws -> Impact
    /// Stops the call that runs now, at its next wait for the index; nil where calls cannot be stopped.
    var interruption: Interruption? { get }
}

extension TraceSource {
    /// None, unless a source says otherwise.
    package var interruption: Interruption? { nil }
}
