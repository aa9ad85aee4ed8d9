import IndexTesting
import PlatformTesting
import Retrieval
import Store
import Testing

/// Titles of the recordings, in every script, are found by themselves over Postgres: the word arm with all of its bounds.
@Suite struct KnownTitleTests {
    /// Most titles are Latin; the other scripts are taken whole, and of these so many that common words are common.
    private static let latinStep = LongTests.areWanted ? 1 : 30

    @Test(.enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)))
    func titlesAreAmongTheFirstThree() async throws {
        var seen: Set<String> = []
        let events = try KnownItems.documents().enumerated().filter { number, event in
            let script = KnownItems.script(of: event.title)
            guard script != nil && script != "Latin" || number % Self.latinStep == 0 else { return false }
            return seen.insert(event.title + "\n" + event.comment).inserted
        }.map(\.element)
        let fixture = try IndexFixture()
        try await RecordedDocuments.write(events, to: fixture)
        let store = fixture.store
        var asked: [String: Int] = [:]
        var missed: [String: [String]] = [:]
        for item in KnownItems.sample(of: events.map(\.title), seed: LongTests.seed(1)) {
            asked[item.script, default: 0] += 1
            let found = try store.candidates(
                for: IndexFixture.query(item.title), timeoutMilliseconds: IndexFixture.limit)
            // The best of each title, as `group_by: title` gives them.
            var titles: [String] = []
            for hit in ReciprocalRankFusion.fuse(found.candidates) where titles.count < 3 {
                if !titles.contains(hit.candidate.title) { titles.append(hit.candidate.title) }
            }
            if !titles.map(KnownItems.key).contains(KnownItems.key(of: item.title)) {
                missed[item.script, default: []].append(item.title)
            }
        }
        #expect(asked.count >= 8, "\(asked)")
        for (script, count) in asked.sorted(by: { $0.key < $1.key }) {
            let titles = missed[script] ?? []
            print("known titles, \(script): \(count - titles.count) of \(count)")
            #expect(
                50 * titles.count <= count, "\(script): \(titles.count) of \(count): \(titles.joined(separator: " | "))"
            )
        }
    }
}
