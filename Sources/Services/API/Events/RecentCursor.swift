import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval

/// A place in the list of a tenant's events, newest first, of the generation that it was begun in: everything newer is before
/// it.
struct RecentCursor: Sendable, Hashable {
    var generation: Int64
    var position: RecentPosition
    /// Of another tenant than the standard one; no secret, and not the tenant's name.
    private var mark: Int64?

    var text: String {
        let place = "\(generation).\(position.indexVersion).\(position.documentID)"
        return mark.map { "\(place).\($0)" } ?? place
    }

    init(generation: Int64, position: RecentPosition, of tenant: TenantID = .standard) {
        self.generation = generation
        self.position = position
        mark = Self.mark(of: tenant)
    }

    /// 18 digits at most.
    private static func mark(of tenant: TenantID) -> Int64? {
        tenant == .standard
            ? nil : Int64(clamping: StableHash.of(tenant.text.utf8) % 1_000_000_000_000_000_000)
    }

    /// - Throws: 422 where the list was another tenant's, in the words for a text that is no cursor.
    func checked(for tenant: TenantID) throws(EndpointError) -> RecentCursor {
        guard mark != Self.mark(of: tenant) else { return self }
        throw .invalid([
            InputFault(
                type: Self.faultType, location: [.name("query"), .name("cursor")], message: Self.faultMessage,
                input: .string(text))
        ])
    }

    fileprivate static let faultType = "cursor_invalid"
    fileprivate static let faultMessage = "is not a next_cursor of this API"

    init?(text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (3...4).contains(parts.count), parts.allSatisfy({ $0.first.map { (0x30...0x39).contains($0) } == true })
        else {
            return nil
        }
        let numbers = parts.compactMap { Int64(Substring($0)) }
        guard numbers.count == parts.count else { return nil }
        self.init(
            generation: numbers[0], position: RecentPosition(indexVersion: numbers[1], documentID: numbers[2]))
        mark = numbers.count == 4 ? numbers[3] : nil
    }
}

extension Form where Value == RecentCursor {
    /// A `next_cursor` of `GET /events/recent`.
    static var recentCursor: Form<RecentCursor> {
        let take: @Sendable (String, inout InputReading) -> RecentCursor? = { text, reading in
            if let cursor = RecentCursor(text: text) { return cursor }
            reading.fault(RecentCursor.faultType, RecentCursor.faultMessage, input: .string(text))
            return nil
        }
        return Form(
            schema: .string(pattern: "^[0-9]{1,18}\\.[0-9]{1,18}\\.[0-9]{1,18}(\\.[0-9]{1,18})?$"),
            json: { .string($0.text) },
            read: { value, reading in take(value.string ?? "", &reading) },
            readTexts: { texts, reading in take(texts.first ?? "", &reading) })
    }
}
