import Bytes
import Records
import Testing

@Suite struct OffsetVectorTests {
    private func place(_ topic: String, _ partition: Int32) -> TopicPartition {
        TopicPartition(topic: topic, partition: partition)
    }

    private func vector(_ random: inout SeededGenerator, names: Int = 4) -> OffsetVector {
        var vector = OffsetVector()
        for _ in 0..<Int.random(in: 0...8, using: &random) {
            let topic = ["a", "a.b", "b", "a-_Z9"][Int.random(in: 0..<names, using: &random)]
            let partition = [0, 1, 2, 11, .max][Int.random(in: 0..<5, using: &random)] as Int32
            vector[place(topic, partition)] = [0, 1, 7, .max][Int.random(in: 0..<4, using: &random)]
        }
        return vector
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>) func raisingIsAMerge(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        func merged(_ left: OffsetVector, _ right: OffsetVector) -> OffsetVector {
            var merged = left
            merged.raise(to: right)
            return merged
        }
        func isSame(_ left: OffsetVector, _ right: OffsetVector) -> Bool { left.covers(right) && right.covers(left) }
        for _ in 0..<20 {
            let (a, b, c) = (vector(&random), vector(&random), vector(&random))
            #expect(isSame(merged(a, b), merged(b, a)), "\(a.text) and \(b.text)")
            #expect(merged(a, a) == a && merged(merged(a, b), b) == merged(a, b))
            #expect(isSame(merged(merged(a, b), c), merged(a, merged(b, c))))
            #expect(merged(a, b).covers(a) && merged(a, b).covers(b))
            #expect(a.covers(b) == isSame(merged(a, b), a))
            // Against what a dictionary says.
            let other = Dictionary(uniqueKeysWithValues: b.entries.map { ($0, $1) })
            #expect(a.covers(b) == other.allSatisfy { a[$0] >= $1 } && OffsetVector(other) == b)
        }
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>) func aVectorIsReadAsItIsWritten(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let vector = vector(&random)
            #expect(OffsetVector(text: vector.text[...].utf8) == vector, "\(vector.text)")
            // The order does not matter; the text is always sorted.
            let turned = vector.text.split(separator: ",").shuffled(using: &random).joined(separator: ",")
            #expect(OffsetVector(text: turned[...].utf8)?.text == vector.text)
        }
    }

    @Test(arguments: [
        "a", "a/", "a/0", "a/0:", "a/:1", "a/0:1,", ",a/0:1", "/0:1", "a/0:1,a/0:1", "a/0:1,a/00:2", "a/-1:1", "a/+1:1",
        "a/0:-1", "a/0:+1", "a/0:1:2", "a/b/0:1", "a b/0:1", "ä/0:1", "a/0:1;b/0:1", "a/0: 1", "a/2147483648:1",
        "a/0:9223372036854775808", "a/0:1\n", "a/٣:1", "a,b/0:1", "a:b/0:1",
    ]) func whatIsNoneIsRefused(text: String) {
        #expect(OffsetVector(text: text[...].utf8) == nil)
    }

    /// Bytes of all kinds come from clients: it is refused, or what was read says the same again.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func anyTextIsReadOrRefused(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let signs = Array("ab/:,;0129-_. é\0".utf8)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...24, using: &random)).map { _ in signs.randomElement(using: &random) ?? 0
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let read = OffsetVector(text: text[...].utf8) else { continue }
            #expect(OffsetVector(text: read.text[...].utf8) == read)
            #expect(read.count == text.utf8.count { $0 == UInt8(ascii: "/") })
        }
    }

    @Test func aTextNamesSoManyTopicPartitionsAtMost() {
        func text(_ count: Int) -> String { (0..<count).map { "a/\($0):1" }.joined(separator: ",") }
        #expect(OffsetVector(text: text(1_024)[...].utf8)?.count == 1_024)
        #expect(OffsetVector(text: text(1_025)[...].utf8) == nil)
    }

    @Test func topicsAreApart() {
        var vector = OffsetVector([place("b", 0): 3, place("a", 1): 4, place("a", 0): 5, place("a.b", 0): 6])
        #expect(vector.text == "a/0:5,a/1:4,a.b/0:6,b/0:3" && vector.topics == ["a", "a.b", "b"])
        #expect(vector.only("a").text == "a/0:5,a/1:4" && vector.only("c").isEmpty)
        vector.remove(place("a", 1))
        vector.remove(place("c", 1))
        #expect(vector.only("a").text == "a/0:5" && vector[place("a", 1)] == 0)
        let isNew = vector.insert(place("a", 0), 9)
        #expect(!isNew && vector[place("a", 0)] == 5)
    }

    @Test func anIDKeepsWhatATopicMayHave() {
        let known = OffsetVector([place("a", 0): 5, place("a", 200): 7, place("b", 1): 1])
        let asked = OffsetVector([place("a", 264): 1, place("a", 265): 2, place("b", 65): 3, place("b", 66): 4])
        #expect(asked.limited(by: known) == OffsetVector([place("a", 264): 1, place("b", 65): 3]))
        // Numbers of topic partitions come from records' headers.
        let seen = OffsetVector([place("a", 0): 1, place("a", .max): 2])
        #expect(seen.limited(by: OffsetVector([place("a", .max): 1])) == seen)
    }
}
