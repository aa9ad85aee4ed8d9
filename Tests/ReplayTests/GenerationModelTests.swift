import Foundation
import Testing

@testable import Replay

/// Prune, give up, promote, roll back and kill in the middle of replays, with traffic, in orders that seeds decide.
@Suite(.serialized) struct GenerationModelTests {
    /// `TEST_SEED` runs one of them.
    static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["TEST_SEED"].flatMap({ UInt64($0) }) { return [seed] }
        return Array(0..<(environment["MEDALLION_LONG_TESTS"] == nil ? 20 : 500))
    }()

    @Test func anyOrderLeavesCompleteGenerations() throws {
        let place = try Place(try Place.database())
        var counts: [String: Int] = [:]
        for seed in Self.seeds {
            let world = try World(place, seed: seed)
            do {
                for _ in 0..<90 { try world.step() }
                try world.settle()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(world.history.suffix(60).joined(separator: "\n"))")
            }
            counts.merge(world.counts) { $0 + $1 }
        }
        // The orders are of use only where they come to all that may happen.
        guard Self.seeds.count > 1 else { return }
        for kind in [
            "create", "finish", "promote", "prune", "start", "giveUp", "promote refused", "prune refused",
            "chunks refused", "promote killed", "prune killed", "create killed",
        ] {
            #expect(counts[kind, default: 0] > 0, "\(kind) never came: \(counts)")
        }
    }
}
