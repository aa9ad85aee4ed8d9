import Glibc

/// Trials that take minutes, and the full forms of shorter ones; `make test` leaves them out, `make test-long` does not.
package enum LongTests {
    package static let areWanted = getenv("MEDALLION_LONG_TESTS").map { String(cString: $0) == "1" } ?? false
    package static let reason = "set MEDALLION_LONG_TESTS=1 for it"

    /// `TEST_SEED`, else the seed that the test names.
    package static func seed(_ named: UInt64) -> UInt64 {
        wantedSeed ?? named
    }

    /// `TEST_SEED` alone, else all that the test names.
    package static func seeds(_ named: ClosedRange<UInt64>) -> [UInt64] {
        wantedSeed.map { [$0] } ?? Array(named)
    }

    private static var wantedSeed: UInt64? { getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } }
}
