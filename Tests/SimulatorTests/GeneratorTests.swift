import Bytes
import JSONScan
import Testing

@testable import Simulator

/// Generated events have the properties of real ones. Seed 17.
@Suite struct GeneratorTests {
    private let generator = EventGenerator(seed: 17, startMilliseconds: 1_763_715_780_000, eventsPerSecond: 50)

    private func event(_ index: Int) throws -> JSONValue {
        var bytes: [UInt8] = []
        generator.append(index, to: &bytes)
        #expect(!bytes.contains(0x0A))
        return try JSONValue.parse(bytes)
    }

    @Test func theSameSeedGivesTheSameBytes() {
        let again = EventGenerator(seed: 17, startMilliseconds: 1_763_715_780_000, eventsPerSecond: 50)
        let other = EventGenerator(seed: 18, startMilliseconds: 1_763_715_780_000, eventsPerSecond: 50)
        for index in [0, 1, 999, 123_456] {
            var (left, right, third): ([UInt8], [UInt8], [UInt8]) = ([], [], [])
            generator.append(index, to: &left)
            again.append(index, to: &right)
            other.append(index, to: &third)
            #expect(left == right)
            #expect(left != third)
        }
    }

    @Test func poisonSpoilsGeneratedEvents() throws {
        for index in 0..<50 {
            var event: [UInt8] = []
            generator.append(index, to: &event)
            // A canary has no title.
            guard try JSONValue.parse(event)["title"] != nil else { continue }
            for poison in Poison.allCases { #expect(poison.payload(of: event) != event, "\(poison), event \(index)") }
            let long = try JSONValue.parse(Poison.longText.payload(of: event) ?? [])
            let titleBytes = long["title"]?.string?.utf8.count ?? 0
            #expect(titleBytes > 2_048)
            let null = try JSONValue.parse(Poison.nullInID.payload(of: event) ?? [])
            #expect(null["meta"]?["id"]?.string?.utf8.first == 0)
        }
    }

    @Test func theMixIsThatOfRealStreams() throws {
        var types: [String: Int] = [:]
        var wikis: Set<String> = []
        var (bots, canaries, repeated, nonASCII, emptyComments, bytesTotal) = (0, 0, 0, 0, 0, 0)
        var seen: Set<String> = []
        var inversions = 0
        let total = 12_000
        for index in 0..<total {
            var bytes: [UInt8] = []
            generator.append(index, to: &bytes)
            bytesTotal += bytes.count
            if bytes.contains(where: { $0 >= 0x80 }) { nonASCII += 1 }
            if generator.time(of: index) > generator.time(of: index + 1) { inversions += 1 }
            let value = try JSONValue.parse(bytes)
            let id = try #require(value["meta"]?["id"]?.string)
            if !seen.insert(id).inserted { repeated += 1 }
            guard let type = value["type"]?.string else {
                #expect(value["meta"]?["domain"]?.string == "canary")
                canaries += 1
                continue
            }
            types[type, default: 0] += 1
            wikis.insert(try #require(value["wiki"]?.string))
            if value["bot"]?.bool == true { bots += 1 }
            if value["comment"]?.string == "" { emptyComments += 1 }
            #expect((value["length"] != nil) == (type == "edit" || type == "new"))
            #expect((value["length"]?["old"] != nil) == (type == "edit"))
            #expect(value["log_params"] == nil || type == "log")
            #expect(value["title"]?.string?.isEmpty == false && value["user"]?.string?.isEmpty == false)
        }
        func share(_ count: Int) -> Double { Double(count) / Double(total) }
        #expect((0.53...0.59).contains(share(types["edit"] ?? 0)))
        #expect((0.34...0.40).contains(share(types["categorize"] ?? 0)))
        #expect((0.03...0.05).contains(share(types["log"] ?? 0)))
        #expect((0.02...0.04).contains(share(types["new"] ?? 0)))
        #expect((types["142"] ?? 0) > 0)
        #expect(wikis.count > 100)
        #expect((0.34...0.40).contains(share(bots)))
        #expect((0.003...0.02).contains(share(repeated)))
        #expect((0.001...0.01).contains(share(canaries)))
        #expect((0.4...0.7).contains(share(nonASCII)))
        #expect((0.30...0.42).contains(share(inversions)))
        #expect((900...1_500).contains(bytesTotal / total))
    }

    /// The shape of mediawiki/revision/create, a stream of its own for each seed.
    @Test(arguments: [SimulatedStream.pageCreate, .revisionCreate])
    func revisionsHaveTheShapeOfTheirStream(stream: SimulatedStream) throws {
        let generator = EventGenerator(
            seed: 17, startMilliseconds: 1_763_715_780_000, eventsPerSecond: 50, stream: stream)
        var (ids, pages): (Set<String>, Set<Int64>) = ([], [])
        var (canaries, first, changes) = (0, 0, 0)
        for index in 0..<2_000 {
            var (bytes, again): ([UInt8], [UInt8]) = ([], [])
            generator.append(index, to: &bytes)
            generator.append(index, to: &again)
            #expect(bytes == again && !bytes.contains(0x0A))
            let event = try JSONValue.parse(bytes)
            #expect(event["meta"]?["stream"]?.string == "mediawiki.\(stream.rawValue)")
            #expect(event["$schema"]?.string == "/mediawiki/revision/create/2.0.0")
            ids.insert(try #require(event["meta"]?["id"]?.string))
            guard event["meta"]?["domain"]?.string != "canary" else {
                canaries += 1
                continue
            }
            pages.insert(try #require(event["page_id"]?.integer))
            if event["rev_parent_id"] == nil { first += 1 } else { changes += 1 }
            #expect(event["page_title"]?.string?.contains(" ") == false)
            #expect(event["comment"]?.string != nil && event["rev_id"]?.integer != nil)
            #expect(event["performer"]?["user_text"]?.string?.isEmpty == false)
            let time = try #require(event["rev_timestamp"]?.string)
            #expect(Array(time.utf8).withUnsafeBufferPointer { CivilTime.epochMilliseconds(rfc3339: $0) } != nil)
        }
        #expect(canaries > 0 && ids.count > 1_900 && pages.count > 1_500)
        #expect(stream == .pageCreate ? changes == 0 : (30...250).contains(first) && changes > 1_500)
        var (own, other): ([UInt8], [UInt8]) = ([], [])
        generator.append(7, to: &own)
        EventGenerator(seed: 18, startMilliseconds: 1_763_715_780_000, eventsPerSecond: 50, stream: stream)
            .append(7, to: &other)
        #expect(own != other)
    }

    @Test func repeatsAreByteForByte() throws {
        var found = 0
        for index in 0..<3_000 {
            guard case .repeated(let earlier) = generator.kind(of: index) else { continue }
            var (left, right): ([UInt8], [UInt8]) = ([], [])
            generator.append(index, to: &left)
            generator.append(earlier, to: &right)
            #expect(left == right && earlier < index)
            found += 1
        }
        #expect(found > 10)
    }

    @Test func languagePacksLineUp() {
        for pack in WordLists.languages where !pack.subjects.isEmpty {
            #expect(pack.subjects.count == WordLists.englishThemes.count, "\(pack.code)")
            #expect(!pack.comments.isEmpty && !pack.places.isEmpty && !pack.names.isEmpty && !pack.sections.isEmpty)
        }
    }
}
