import Arms
import Bytes
import Glibc
import Records
import Synchronization

/// Arms that are filled without a database.
final class GrowthArms: Sendable {
    let index: ArmsIndex
    private let input: GrowthInput
    private let filled = Mutex(0)

    var count: Int { filled.withLock { $0 } }

    init(_ input: GrowthInput) {
        self.input = input
        index = ArmsIndex(dimensions: input.dimensions)
        index.change { editor in
            for (number, word) in input.words.enumerated() { editor.add(word: word, id: Int32(number)) }
        }
    }

    /// Shows further passages, each of a document of its own.
    ///
    /// - Parameters:
    ///   - batch: that are shown at once.
    ///   - version: that they lead to; 0 while all is being loaded.
    /// - Returns: processor time of the changes alone, seconds.
    @discardableResult
    func add(_ more: Int, batch: Int, version: Int64) -> Double {
        filled.withLock { add(more, to: &$0, batch: batch, version: version) }
    }

    private func add(_ more: Int, to count: inout Int, batch: Int, version: Int64) -> Double {
        let wanted = count + more
        var seconds = 0.0
        while count < wanted {
            let numbers = count..<min(wanted, count + batch)
            let passages = numbers.map { input.passage($0) }
            var lists: [Int32: [(passage: Int64, weight: Int32)]] = [:]
            for (number, passage) in zip(numbers, passages) {
                for (word, weight) in passage.words { lists[word, default: []].append((Int64(number), weight)) }
            }
            let began = ProcessorTime.threadSeconds()
            index.change { editor in
                for (number, passage) in zip(numbers, passages) {
                    editor.add(vector: Int64(number), passage.halves)
                    let document = input.document(of: passage)
                    editor.show(
                        ArmsDocument(
                            id: Int64(number), collection: document.collection.text, language: document.lang,
                            eventTimeMilliseconds: document.eventTimeMilliseconds, attributes: document.attributes,
                            passages: [(Int64(number), Int64(number))]))
                }
                for (word, entries) in lists { editor.add(postings: entries, of: word) }
                editor.reach(version: version, stamp: version)
            }
            seconds += ProcessorTime.threadSeconds() - began
            count = numbers.upperBound
        }
        return seconds
    }
}

extension ProcessorTime {
    /// Of the calling thread, user and system.
    static func threadSeconds() -> Double {
        var time = timespec()
        // Cannot fail for the own thread and a valid address.
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
