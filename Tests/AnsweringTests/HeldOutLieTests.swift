import Answering
import Bytes
import Testing
import Text

/// Lies about passages of other kinds than those the rules were written on, in other words: buildings, elections, matches,
/// ferries. No lie gets through; most of what is true does.
@Suite struct HeldOutLieTests {
    /// A passage with what is true of it and what is not.
    private struct Scene {
        var passage: String
        var truths: [String]
        /// By kind.
        var lies: [(String, String)]
    }

    private static let people = [
        "Mireille Aubert", "Tobias Krantz", "Yuki Hanabusa", "Oluwaseun Adeyemi", "Rosa Delgado", "Piotr Zielinski",
        "Ingrid Solberg", "Farid Haddad", "Nadia Petrova", "Callum Reid",
    ]
    private static let towns = [
        "Trondheim", "Valparaiso", "Leipzig", "Bergamo", "Oulu", "Kumasi", "Aberdeen", "Gdansk", "Coimbra", "Nagoya",
    ]
    private static let firms = [
        "Norvex", "Calderon Foods", "Brightwater", "Helmholt Systems", "Ostrava Steel", "Pelican Air", "Quillon",
        "Tamarind Labs", "Vantor", "Westergaard",
    ]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    ]

    /// Values that differ from one another, drawn anew for each scene.
    private struct Draw {
        var random: SeededGenerator
        private var used: Set<Int> = []

        init(_ random: SeededGenerator) { self.random = random }

        mutating func three(_ list: [String]) -> (String, String, String) {
            let mixed = list.shuffled(using: &random)
            return (mixed[0], mixed[1], mixed[2])
        }

        mutating func number(_ range: ClosedRange<Int>) -> Int {
            while true {
                let number = Int.random(in: range, using: &random)
                if used.insert(number).inserted { return number }
            }
        }
    }

    private static let kinds: [@Sendable (inout Draw) -> Scene] = [
        tower, election, purchase, discovery, match, train, weather, river, ferry, vote,
    ]

    private static func tower(_ draw: inout Draw) -> Scene {
        let (architect, other, _) = draw.three(people)
        let (town, elsewhere, _) = draw.three(towns)
        let (height, floors, year) = (draw.number(90...400), draw.number(12...80), draw.number(1_890...1_990))
        return Scene(
            passage:
                "The harbour tower in \(town) was designed by \(architect). It is \(height) metres tall and has \(floors) floors. The tower was finished in \(year).",
            truths: [
                "The tower is \(height) metres tall.", "The tower has \(floors) floors.",
                "\(architect) designed the harbour tower in \(town).", "The tower was finished in \(year).",
                "The harbour tower was designed by \(architect).",
            ],
            lies: [
                ("number", "The tower is \(height + 7) metres tall."),
                ("number", "The tower has \(floors + 3) floors."),
                ("swapped", "The tower is \(floors) metres tall."), ("swapped", "The tower has \(height) floors."),
                ("unit", "The tower is \(height) feet tall."), ("date", "The tower was finished in \(year + 9)."),
                ("name", "\(other) designed the harbour tower in \(town)."),
                ("name", "The harbour tower in \(elsewhere) was designed by \(architect)."),
                ("negation", "The harbour tower was not designed by \(architect)."),
                ("negation", "The tower was never finished."),
            ])
    }

    private static func election(_ draw: inout Draw) -> Scene {
        let (winner, loser, third) = draw.three(people)
        let (share, year) = (draw.number(51...70), draw.number(1_950...2_020))
        return Scene(
            passage: "In the election of \(year) \(winner) defeated \(loser) with \(share) percent of the vote.",
            truths: [
                "\(winner) defeated \(loser).", "\(loser) was defeated by \(winner).",
                "\(winner) defeated \(loser) in the election of \(year).",
                "\(winner) defeated \(loser) with \(share)% of the vote.",
            ],
            lies: [
                ("direction", "\(loser) defeated \(winner)."), ("direction", "\(winner) was defeated by \(loser)."),
                ("name", "\(winner) defeated \(third)."), ("name", "\(third) defeated \(loser) in the election."),
                ("number", "\(winner) defeated \(loser) with \(share - 4) percent of the vote."),
                ("date", "\(winner) defeated \(loser) in the election of \(year + 4)."),
                ("negation", "\(winner) did not defeat \(loser)."),
                ("negation", "\(winner) failed to defeat \(loser)."),
            ])
    }

    private static func purchase(_ draw: inout Draw) -> Scene {
        let (buyer, bought, other) = draw.three(firms)
        let (price, year) = (draw.number(20...900), draw.number(1_970...2_024))
        return Scene(
            passage: "\(buyer) acquired \(bought) for \(price) million dollars in \(year).",
            truths: [
                "\(buyer) acquired \(bought).", "\(bought) was acquired by \(buyer).",
                "\(buyer) acquired \(bought) in \(year).", "\(buyer) acquired \(bought) for \(price) million dollars.",
            ],
            lies: [
                ("direction", "\(bought) acquired \(buyer)."), ("direction", "\(buyer) was acquired by \(bought)."),
                ("unit", "\(buyer) acquired \(bought) for \(price) million euros."),
                ("number", "\(buyer) acquired \(bought) for \(price) billion dollars."),
                ("number", "\(buyer) acquired \(bought) for \(price) dollars."),
                ("name", "\(other) acquired \(bought)."), ("date", "\(buyer) acquired \(bought) in \(year - 2)."),
                ("opposite", "\(buyer) sold \(bought) for \(price) million dollars."),
                ("negation", "\(buyer) never acquired \(bought)."),
            ])
    }

    private static func discovery(_ draw: inout Draw) -> Scene {
        let (person, other, _) = draw.three(people)
        let (town, elsewhere, _) = draw.three(towns)
        let (year, masses) = (draw.number(1_850...1_960), draw.number(40...240))
        return Scene(
            passage:
                "\(person) discovered the isotope in \(year) at the institute in \(town). Its half-life is \(masses) days.",
            truths: [
                "\(person) discovered the isotope in \(year).", "The isotope was discovered by \(person).",
                "The isotope was discovered at the institute in \(town).", "Its half-life is \(masses) days.",
            ],
            lies: [
                ("name", "\(other) discovered the isotope in \(year)."),
                ("name", "The isotope was discovered at the institute in \(elsewhere)."),
                ("date", "\(person) discovered the isotope in \(year + 11)."),
                ("unit", "Its half-life is \(masses) hours."), ("number", "Its half-life is \(masses + 1) days."),
                ("negation", "\(person) did not discover the isotope."),
                ("negation", "It is false that \(person) discovered the isotope."),
                ("invented", "\(person) discovered the isotope, see https://example.com/isotope."),
            ])
    }

    private static func match(_ draw: inout Draw) -> Scene {
        let (home, guest, venue) = draw.three(towns)
        let (goals, day, year) = (draw.number(3...9), draw.number(10...28), draw.number(1_990...2_024))
        let month = months[draw.number(0...9) % 10 % months.count]
        let other = months[(months.firstIndex(of: month) ?? 0) / 2 == 0 ? 7 : 1]
        return Scene(
            passage: "On \(day) \(month) \(year) \(home) beat \(guest) by \(goals) goals in \(venue).",
            truths: [
                "\(home) beat \(guest) in \(venue).", "\(home) beat \(guest) by \(goals) goals.",
                "\(home) beat \(guest) on \(month) \(day), \(year).", "\(home) beat \(guest) in \(year).",
            ],
            lies: [
                ("direction", "\(guest) beat \(home) in \(venue)."),
                ("number", "\(home) beat \(guest) by \(goals + 1) goals."),
                ("date", "\(home) beat \(guest) on \(day) \(other) \(year)."),
                ("date", "\(home) beat \(guest) on \(day + 1) \(month) \(year)."),
                ("date", "\(home) beat \(guest) in \(year + 1)."), ("direction", "\(home) beat \(venue) in \(guest)."),
                ("opposite", "\(home) lost to \(guest) in \(venue)."), ("negation", "\(home) did not beat \(guest)."),
            ])
    }

    private static func train(_ draw: inout Draw) -> Scene {
        let (from, to, stop) = draw.three(towns)
        let (minutes, trains) = (draw.number(35...240), draw.number(4...30))
        return Scene(
            passage:
                "The express runs from \(from) to \(to) in \(minutes) minutes and stops in \(stop). There are \(trains) trains a day.",
            truths: [
                "The express runs from \(from) to \(to).", "The express stops in \(stop).",
                "There are \(trains) trains a day.", "The express runs from \(from) to \(to) in \(minutes) minutes.",
            ],
            lies: [
                ("direction", "The express runs from \(to) to \(from)."), ("name", "The express stops in Reykjavik."),
                ("unit", "The express runs from \(from) to \(to) in \(minutes) hours."),
                ("number", "There are \(trains + 2) trains a day."),
                ("swapped", "There are \(minutes) trains a day."),
                ("swapped", "The express runs from \(from) to \(to) in \(trains) minutes."),
                ("unit", "There are \(trains) trains a week."), ("negation", "The express does not stop in \(stop)."),
                ("negation", "The express no longer runs from \(from) to \(to)."),
            ])
    }

    private static func weather(_ draw: inout Draw) -> Scene {
        let (town, other, _) = draw.three(towns)
        let (high, low, rain) = (draw.number(20...39), draw.number(2...14), draw.number(40...90))
        return Scene(
            passage:
                "The temperature in \(town) fell from \(high) to \(low) degrees overnight, and \(rain) mm of rain were measured.",
            truths: [
                "The temperature in \(town) fell from \(high) to \(low) degrees.", "\(rain) mm of rain were measured.",
                "Overnight the temperature in \(town) fell.",
            ],
            lies: [
                ("opposite", "The temperature in \(town) rose from \(high) to \(low) degrees."),
                ("direction", "The temperature in \(town) fell from \(low) to \(high) degrees."),
                ("number", "The temperature in \(town) fell from \(high) to \(low + 1) degrees."),
                ("name", "The temperature in \(other) fell from \(high) to \(low) degrees."),
                ("unit", "\(rain) cm of rain were measured."), ("swapped", "\(high) mm of rain were measured."),
                ("number", "\(rain + 5) mm of rain were measured."),
                ("negation", "No rain was measured."), ("negation", "The temperature in \(town) did not fall."),
            ])
    }

    private static func river(_ draw: inout Draw) -> Scene {
        let (source, mouth, _) = draw.three(towns)
        let (length, bridges) = (draw.number(100...900), draw.number(5...60))
        return Scene(
            passage:
                "The stream rises above \(source), flows into the bay of \(mouth), and is \(length) km long. \(bridges) bridges cross it.",
            truths: [
                "The stream rises above \(source).", "The stream flows into the bay of \(mouth).",
                "The stream is \(length) km long.", "\(bridges) bridges cross it.",
            ],
            lies: [
                ("direction", "The stream rises above \(mouth)."),
                ("direction", "The stream flows into the bay of \(source)."),
                ("unit", "The stream is \(length) miles long."), ("number", "The stream is \(length * 2) km long."),
                ("swapped", "The stream is \(bridges) km long."), ("swapped", "\(length) bridges cross it."),
                ("number", "\(bridges - 1) bridges cross it."), ("negation", "No bridges cross it."),
                ("negation", "The stream does not flow into the bay of \(mouth)."),
            ])
    }

    private static func ferry(_ draw: inout Draw) -> Scene {
        let (captain, other, _) = draw.three(people)
        let (port, elsewhere, _) = draw.three(towns)
        let (hurt, aboard) = (draw.number(3...40), draw.number(120...600))
        return Scene(
            passage:
                "\(hurt) passengers were injured when the ferry struck the pier in \(port). \(aboard) people were aboard, and captain \(captain) was suspended.",
            truths: [
                "\(hurt) passengers were injured.", "The ferry struck the pier in \(port).",
                "\(aboard) people were aboard.", "Captain \(captain) was suspended.",
            ],
            lies: [
                ("number", "\(hurt + 2) passengers were injured."), ("swapped", "\(aboard) passengers were injured."),
                ("swapped", "\(hurt) people were aboard."), ("name", "The ferry struck the pier in \(elsewhere)."),
                ("name", "Captain \(other) was suspended."), ("direction", "The pier struck the ferry in \(port)."),
                ("negation", "No passengers were injured."), ("negation", "Captain \(captain) was not suspended."),
                ("opposite", "\(hurt) passengers were unhurt."),
            ])
    }

    private static func vote(_ draw: inout Draw) -> Scene {
        let (speaker, other, _) = draw.three(people)
        let (yes, no, day) = (draw.number(200...290), draw.number(300...390), draw.number(11...27))
        return Scene(
            passage:
                "On \(day) June the chamber rejected the bill. \(yes) members voted for it and \(no) voted against it. \(speaker) had proposed it.",
            truths: [
                "The chamber rejected the bill.", "The bill was rejected on \(day) June.",
                "\(yes) members voted for the bill.", "\(speaker) had proposed it.",
            ],
            lies: [
                ("opposite", "The chamber accepted the bill."), ("opposite", "The chamber passed the bill."),
                ("swapped", "\(no) members voted for it and \(yes) voted against it."),
                ("number", "\(yes + 1) members voted for the bill."), ("date", "The bill was rejected on \(day) July."),
                ("date", "The bill was rejected on \(day - 1) June."), ("name", "\(other) had proposed it."),
                ("negation", "The chamber did not reject the bill."), ("direction", "The bill rejected the chamber."),
            ])
    }

    private static let analyzers = TextAnalyzers(count: 1)

    private static func isThrough(_ sentence: String, _ passages: [String], _ citations: [Int]) async throws -> Bool {
        let check = CitationCheck(passages: passages.map { SupportTests.hit($0) }, analyzers: analyzers)
        let outcome = try await check.outcome(ProposedSentence(text: sentence, citations: citations))
        if case .supported = outcome { return true }
        return false
    }

    @Test func noLieGetsThroughAndTheTruthDoes() async throws {
        var random = SeededGenerator(seed: 71)
        var (told, through) = (0, [String]())
        var (honest, passed, lost) = (0, 0, [String]())
        for _ in 0..<9 {
            for make in Self.kinds {
                var draw = Draw(SeededGenerator(seed: random.next()))
                let scene = make(&draw)
                for (kind, lie) in scene.lies {
                    told += 1
                    if try await Self.isThrough(lie, [scene.passage], [1]) {
                        through.append("\(kind): \(lie) | \(scene.passage)")
                    }
                }
                for truth in scene.truths {
                    honest += 1
                    if try await Self.isThrough(truth, [scene.passage], [1]) {
                        passed += 1
                    } else {
                        lost.append("\(truth) | \(scene.passage)")
                    }
                    // The same words with a passage that was never given, or another one.
                    told += 1
                    let ids = [2, 0, -1, 99, 4_711].shuffled(using: &random)
                    if try await Self.isThrough(truth, [scene.passage], Array(ids.prefix(3))) {
                        through.append("id: \(truth)")
                    }
                }
            }
        }
        print("held-out lies: \(told), through: \(through.count); truths: \(honest), passed: \(passed)")
        #expect(told >= 500 && through.isEmpty, Comment(rawValue: through.joined(separator: "\n")))
        #expect(
            honest >= 300 && Double(passed) >= 0.9 * Double(honest), Comment(rawValue: lost.joined(separator: "\n")))
    }
}
