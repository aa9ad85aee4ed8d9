import Files
import PlatformTesting
import Records
import Telemetry
import Testing

@testable import Ingest

/// A pause whose topic is lost.
@Suite struct PauseKeeperTests {
    private func request(_ id: String, _ action: SourceRequest.Action) -> SourceRequest {
        SourceRequest(id: id, source: "a", action: action, reason: "why", by: "Ann", atMilliseconds: 1)
    }

    private func keeper(_ folder: TemporaryFolder) -> PauseKeeper {
        PauseKeeper(path: folder.file("state/paused.json"), logger: Logger("test", level: .error))
    }

    @Test func itHoldsUntilTheSourceIsResumed() throws {
        let folder = try TemporaryFolder(in: "/dev/shm")
        #expect(keeper(folder).heed(nil) == nil && keeper(folder).heed(SourceWishes()) == SourceWishes())
        var wishes = SourceWishes()
        wishes.take(request("r-1", .pause))
        #expect(keeper(folder).heed(wishes) == wishes)
        // The next process, whose topic is empty.
        let later = keeper(folder)
        #expect(later.heed(nil) == nil, "nothing is known before the topic was read")
        #expect(later.heed(SourceWishes())?.pause == wishes.pause)
        #expect(later.heed(SourceWishes())?.answer(to: "r-1")?.word == "taken", "nobody need tell it again")
        var resumed = SourceWishes()
        resumed.take(request("r-2", .resume))
        #expect(later.heed(resumed)?.pause == nil)
        #expect(!Folder.exists(folder.file("state/paused.json")))
        #expect(keeper(folder).heed(SourceWishes())?.pause == nil)
    }
}
