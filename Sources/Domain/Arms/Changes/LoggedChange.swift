package import Records
import Retrieval

/// What became of a document.
package enum LoggedChange: Sendable {
    /// It is no longer shown: the numbers of its passages. Changed ones are hidden first and then shown.
    case hidden([Int64])
    case shown(LoggedDocument)

    /// Memory that it takes, roughly.
    var bytes: Int {
        switch self {
        case .hidden(let passages): 64 + 8 * passages.count
        case .shown(let document): document.bytes
        }
    }
}

/// A document that was shown, with all that decides whether a search finds it.
package final class LoggedDocument: Sendable, FilterSubject {
    let collection: String
    let language: String
    let eventTimeMilliseconds: Int64
    let attributes: AttributeList
    let passages: [LoggedPassage]
    /// Passages that were shown then, this one's among them, and their words on average.
    let passageCount: Double
    let lengthMean: Double

    init(_ document: ArmsDocument, passages: [LoggedPassage], passageCount: Double, lengthMean: Double) {
        collection = document.collection
        language = document.language
        eventTimeMilliseconds = document.eventTimeMilliseconds
        attributes = document.attributes
        self.passages = passages
        self.passageCount = passageCount
        self.lengthMean = lengthMean
    }

    package func value(of attribute: AttributeName) -> AttributeValue? {
        switch attribute {
        case .collection: .string(collection)
        case .lang: .string(language)
        case .eventTime: .time(eventTimeMilliseconds)
        default: attributes.value(of: attribute)
        }
    }

    /// Attributes are texts of some bytes each; there is no bound on them but those of documents.
    var bytes: Int {
        var attributeBytes = 0
        attributes.forEach { _, value in
            if case .string(let text) = value { attributeBytes += text.utf8.count }
            attributeBytes += 48
        }
        return 256 + attributeBytes + passages.reduce(0) { $0 + 96 + 2 * $1.halves.count + 16 * $1.words.count }
    }
}

/// A passage of a document that was shown.
struct LoggedPassage: Sendable {
    let id: Int64
    /// Its vector in half precision, and 1 over its length; empty where it has none.
    let halves: [UInt16]
    let scale: Float
    /// In the order of their hashes.
    let words: [LoggedWord]

    /// The word of a hash.
    func word(_ hash: UInt64) -> LoggedWord? {
        words.withUnsafeBufferPointer { words in
            var (low, high) = (0, words.count)
            while low < high {
                let middle = (low + high) / 2
                if words[middle].hash < hash { low = middle + 1 } else { high = middle }
            }
            return low < words.count && words[low].hash == hash ? words[low] : nil
        }
    }
}

/// A word of a passage that was shown.
struct LoggedWord: Sendable {
    /// Of its text. Two texts of one hash are taken for one word, so that a result may be dropped that still holds.
    let hash: UInt64
    /// As postings have it.
    let weight: UInt32
    /// Passages that had it then, this one among them.
    let passages: UInt32

    /// FNV-1a.
    static func hash(_ text: some Sequence<UInt8>) -> UInt64 {
        text.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
