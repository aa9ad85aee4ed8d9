import Concurrency
import Testing

@Suite struct LRUCacheTests {
    @Test func whatWasUsedLastIsKept() {
        var cache = LRUCache<Int>(countMax: 4)
        for number in 0..<4 { cache.insert(number, for: "\(number)") }
        #expect(cache.value(for: "0") == 0)
        cache.insert(4, for: "4")
        #expect(cache.count <= 4)
        #expect(cache.value(for: "0") == 0 && cache.value(for: "4") == 4)
        #expect(cache.value(for: "1") == nil)
    }

    @Test func memoryIsBounded() {
        var cache = LRUCache<String>(countMax: .max, bytesMax: 20_000)
        for number in 0..<1_000 {
            cache.insert("value", for: "\(number)", valueBytes: number % 7 * 300)
            #expect(cache.bytes <= 20_000)
        }
        #expect(cache.count > 1)
        #expect(cache.value(for: "999") == "value")
        // The same key again takes its memory once.
        let before = cache.bytes
        cache.insert("value", for: "999", valueBytes: 999 % 7 * 300)
        #expect(cache.bytes == before)
        // What alone is too large pushes nothing out.
        let count = cache.count
        cache.insert("large", for: "large", valueBytes: 20_001)
        #expect(cache.value(for: "large") == nil && cache.count == count)
    }

    @Test func withoutMemoryNothingIsKept() {
        var cache = LRUCache<Int>(countMax: .max, bytesMax: 0)
        cache.insert(1, for: "a", valueBytes: 4)
        #expect(cache.value(for: "a") == nil && cache.count == 0 && cache.bytes == 0)
    }
}
