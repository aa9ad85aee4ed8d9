package import Bytes

/// What a search of the past names it by.
package enum AsOf: Sendable, Hashable {
    /// When an answer was given.
    case answer(String)
    /// The index transaction of that number, or where there is none the last one before it.
    case version(Int64)
    /// The last index transaction that had begun by then, milliseconds since 1970.
    case time(Int64)
}

/// How the index was at a moment that is still kept of its history.
package struct PastMoment: Sendable, Hashable {
    /// The generation that was active.
    package var generation: Int64
    package var indexVersion: Int64
    /// When that version was written, milliseconds since 1970; nil where nothing had been.
    package var timeMilliseconds: Int64?
    /// From when relative times and ages are reckoned.
    package var referenceMilliseconds: Int64
    /// By what words were weighed; nil where that was not kept, and is counted anew.
    package var statistics: WordStatistics?

    package init(
        generation: Int64, indexVersion: Int64, timeMilliseconds: Int64?, referenceMilliseconds: Int64,
        statistics: WordStatistics? = nil
    ) {
        self.generation = generation
        self.indexVersion = indexVersion
        self.timeMilliseconds = timeMilliseconds
        self.referenceMilliseconds = referenceMilliseconds
        self.statistics = statistics
    }
}

/// Why nothing can be read as of a moment.
package enum MomentFault: Error, Sendable, CustomStringConvertible {
    /// It is older than what is kept of the index's history.
    case gone(IndexVersionGone)
    /// The generation that was active then is served no more.
    case generationGone(Int64)
    /// It is not known which generation was active then.
    case unrecorded(version: Int64)
    /// It is still to come.
    case ahead(newest: Int64)
    /// The tenant has no such answer.
    case unknownAnswer

    package var description: String {
        switch self {
        case .gone(let gone): "\(gone)"
        case .generationGone(let generation):
            "generation \(generation), which was active then, has been pruned"
        case .unrecorded(let version):
            "nothing is recorded of which generation was active at index version \(version)"
        case .ahead(let newest): "it is still to come; the newest index version is \(newest)"
        case .unknownAnswer: "no answer with this id is kept"
        }
    }
}

/// What BM25 knew of the passages that a search looked among: what their words' rarity follows from.
package struct WordStatistics: Sendable, Hashable {
    /// Passages.
    package var passages: Double
    /// Words of a passage, on average.
    package var length: Double
    /// How many passages have each form of the query's words.
    package var forms: [String: Int64]

    package init(passages: Double, length: Double, forms: [String: Int64]) {
        self.passages = passages
        self.length = length
        self.forms = forms
    }

    /// What ``append(to:)`` wrote; nil where that is not there.
    package init?(json: UnsafeRawBufferPointer) {
        var (passages, length): (Double?, Double?)
        var forms: [String: Int64] = [:]
        let isRead =
            (try? JSONLine.forEachMember(of: json) { name, value in
                switch name.string {
                case "passages": passages = value.number
                case "length": length = value.number
                case "forms":
                    value.forEachMember { form, count in
                        if let form = form.string, let count = count.integer { forms[form] = count }
                    }
                default: break
                }
            }) != nil
        guard isRead, let passages, let length else { return nil }
        self.init(passages: passages, length: length, forms: forms)
    }

    /// Appends its members to an object that has begun.
    package func append(to writer: inout JSONWriter) {
        writer.double("passages", passages)
        writer.double("length", length)
        writer.key("forms")
        writer.beginObject()
        for (form, count) in forms.sorted(by: { $0.key < $1.key }) {
            writer.key(dynamic: form)
            writer.integer(count)
        }
        writer.endObject()
    }
}

/// By what an answer was found, as it is kept with it.
package struct AnswerBasis: Sendable, Equatable {
    /// From when times of the question were reckoned, milliseconds since 1970.
    package var referenceMilliseconds: Int64?
    /// Nil where no words were looked for.
    package var statistics: WordStatistics?

    package init(referenceMilliseconds: Int64?, statistics: WordStatistics?) {
        self.referenceMilliseconds = referenceMilliseconds
        self.statistics = statistics
    }

    /// Reads ``json``; what is not there is left out.
    package init(json: [UInt8]) {
        var reference: Int64?
        var statistics: WordStatistics?
        json.withUnsafeBytes { bytes in
            try? JSONLine.forEachMember(of: bytes) { name, value in
                if name.equals("reference_ms") { reference = value.integer }
                if name.equals("words") { statistics = WordStatistics(json: value.bytes) }
            }
        }
        self.init(referenceMilliseconds: reference, statistics: statistics)
    }

    /// One object.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        if let referenceMilliseconds { writer.integer("reference_ms", referenceMilliseconds) }
        if let statistics {
            writer.key("words")
            writer.beginObject()
            statistics.append(to: &writer)
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }
}

extension JSONSlice {
    fileprivate var number: Double? {
        kind == .number ? Double(String(decoding: bytes, as: UTF8.self)) : nil
    }
}
