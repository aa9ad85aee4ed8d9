import Bytes
import Records
import Retrieval
import Testing

@testable import Arms

/// Of passages with one vector the newest that passes is found, and the others are counted, however many there are.
@Suite struct SharedVectorTests {
    @Test(arguments: [300, 21_000]) func theNewestThatPassesStandsForAll(passages: Int64) throws {
        let state = ArmsState(dimensions: 4)
        for vector in Int64(0)..<3 { state.add(vector: vector, [vector == 0 ? 0x3c00 : 0, 0x3c00, 0, 0]) }
        for id in 0..<passages {
            // All but some have the first vector; one in seven is German.
            let vector: Int64 = id % 100 == 3 ? 1 : 0
            state.show(
                ArmsDocument(
                    id: id, collection: "edits", language: id % 7 == 0 ? "de" : "en", eventTimeMilliseconds: id,
                    attributes: AttributeList([:]), passages: [(id, vector)]))
        }
        let german = stride(from: Int64(0), to: passages, by: 7)
        let last = try #require(german.filter { $0 % 100 != 3 }.last)
        state.hide(document: last)
        var set = state.shown
        state.attributes.keep(&set, passing: .texts(.lang, ["de"]))
        let found = state.passages(of: [0, 1, 2], among: set, isEverything: false)
        for vector in 0..<2 {
            let wanted = german.filter { ($0 % 100 == 3) == (vector == 1) && $0 != last }
            #expect(found[vector]?.newest == wanted.last.map { Int($0) })
            #expect(found[vector]?.count == min(wanted.count, 1_001))
        }
        #expect(found[2] == nil)
    }
}
