import Bytes
package import Records

/// Bounds of one filter.
package enum FilterLimits {
    /// Tests, `must` and `must_not` together.
    package static let testsMax = 32
    /// Values of one test.
    package static let valuesMax = 100
    /// Characters of one text.
    package static let charactersMax = 255
    /// Bytes of the whole filter in its encoding: three full lists of the longest texts fit.
    package static let bytesMax = 384 << 10
}

/// What a filter compares with.
package protocol FilterSubject {
    /// The value of an attribute; nil where the document does not have it. `collection` and `event_time` are attributes
    /// like others.
    func value(of attribute: AttributeName) -> AttributeValue?
}

/// Which documents are meant: those of some collections, of a time, that pass all `must` tests and none of `must_not`.
///
/// One value from the request to the database, the stream and the cursor. It is kept in a normal form (sorted, each test
/// once, tests of one attribute put together where that is possible), so that filters of one meaning have one ``encoding``.
package struct Filter: Sendable, Hashable, CustomStringConvertible {
    /// Where documents are looked for.
    package struct Scope: Sendable {
        /// Whose documents. It follows from who asks, and no request's filters can say it.
        package let tenant: TenantID
        /// Names in the order of their bytes; nil for all collections of the tenant.
        package fileprivate(set) var collections: [String]?

        package init(tenant: TenantID = .standard, collections: [String]? = nil) {
            self.tenant = tenant
            self.collections = collections
        }
    }

    /// Event time in milliseconds since 1970.
    package struct TimeRange: Sendable {
        /// At or after.
        package fileprivate(set) var from: Int64?
        /// Before.
        package fileprivate(set) var to: Int64?

        package init(from: Int64? = nil, to: Int64? = nil) {
            self.from = from
            self.to = to
        }
    }

    /// Where documents are looked for.
    package let scope: Scope
    /// When what they tell of happened.
    package let time: TimeRange
    /// In normal form; never about ``scope`` or ``time``.
    package let must: [AttributeTest]
    /// In normal form.
    package let mustNot: [AttributeTest]
    /// The filter as one JSON object: equal for equal filters, in every process and for ever. `filters` of a request takes
    /// all of it but `tenant`, which is there where it is not the standard one.
    package let encoding: [UInt8]

    /// What `filters` of a request says, whoever asks: the encoding without the tenant.
    package var asked: [UInt8] {
        scope.tenant == .standard
            ? encoding : Self.encoding(Scope(collections: scope.collections), time, must, mustNot)
    }

    /// All documents of the standard tenant.
    package static let all = all(of: .standard)

    /// All documents of a tenant.
    package static func all(of tenant: TenantID) -> Filter {
        Filter(normal: Scope(tenant: tenant), TimeRange(), must: [], mustNot: [])
    }

    /// - Throws: where it is beyond ``FilterLimits``, or a test compares what cannot be compared.
    package init(
        scope: Scope = Scope(), time: TimeRange = TimeRange(), must: [AttributeTest] = [], mustNot: [AttributeTest] = []
    ) throws(FilterFault) {
        for end in [time.from, time.to].compactMap(\.self) { _ = try AttributeValue.time(end).normal() }
        try self.init(FilterNormalForm(scope: scope, time: time), must: must, mustNot: mustNot)
    }

    private init(
        _ known: FilterNormalForm, must: [AttributeTest], mustNot: [AttributeTest]
    ) throws(FilterFault) {
        let count = known.must.count + known.mustNot.count + must.count + mustNot.count
        guard count <= FilterLimits.testsMax else {
            throw FilterFault("too_long", "must have at most \(FilterLimits.testsMax) tests, has \(count)")
        }
        var normal = known
        for test in must { normal.add(must: try test.normal()) }
        for test in mustNot { normal.add(mustNot: try test.normal()) }
        let filter = Filter(
            normal: normal.scope, normal.time, must: normal.mustInOrder, mustNot: normal.mustNotInOrder)
        guard filter.encoding.count <= FilterLimits.bytesMax else {
            throw FilterFault(
                "too_long", "must have at most \(FilterLimits.bytesMax) bytes, has \(filter.encoding.count)")
        }
        self = filter
    }

    private init(normal scope: Scope, _ time: TimeRange, must: [AttributeTest], mustNot: [AttributeTest]) {
        self.scope = scope
        self.time = time
        self.must = must
        self.mustNot = mustNot
        encoding = Self.encoding(scope, time, must, mustNot)
    }

    /// The same documents, as far as they pass these tests too.
    ///
    /// - Throws: as for a new filter.
    package func adding(
        must tests: [AttributeTest], mustNot others: [AttributeTest] = []
    ) throws(FilterFault) -> Filter {
        var known = FilterNormalForm(scope: scope, time: time)
        (known.must, known.mustNot) = (must, mustNot)
        return try Filter(known, must: tests, mustNot: others)
    }

    /// Two filters that together are this one: the second has those `must` tests that `isOther` takes, and nothing else.
    package func split(_ isOther: (AttributeTest) -> Bool) -> (Filter, others: Filter) {
        guard must.contains(where: isOther) else { return (self, .all(of: scope.tenant)) }
        return (
            Filter(normal: scope, time, must: must.filter { !isOther($0) }, mustNot: mustNot),
            Filter(normal: Scope(tenant: scope.tenant), TimeRange(), must: must.filter(isOther), mustNot: [])
        )
    }

    /// The languages that documents must be in; none where any will do.
    package var languages: [String] {
        for test in must where test.attribute == .lang {
            guard case .oneOf(let values) = test.condition else { continue }
            return values.compactMap { if case .string(let text) = $0 { text } else { nil } }
        }
        return []
    }

    /// Whether it leaves none of its tenant's documents out.
    package var takesAll: Bool {
        must.isEmpty && mustNot.isEmpty && scope.collections == nil && time.from == nil && time.to == nil
    }

    package static func == (left: Filter, right: Filter) -> Bool { left.encoding == right.encoding }

    package func hash(into hasher: inout Hasher) { hasher.combine(encoding) }

    package var description: String { String(decoding: encoding, as: UTF8.self) }

    private static func encoding(
        _ scope: Scope, _ time: TimeRange, _ must: [AttributeTest], _ mustNot: [AttributeTest]
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        if scope.tenant != .standard { writer.string("tenant", scope.tenant.text) }
        for (name, end) in [("from", time.from), ("to", time.to)] {
            guard let end else { continue }
            writer.key(dynamic: name)
            writer.string(CivilTime.rfc3339(end))
        }
        let places = scope.collections.map { [AttributeTest.texts(.collection, $0)] } ?? []
        for (name, tests) in [("must", places + must), ("must_not", mustNot)] where !tests.isEmpty {
            writer.key(dynamic: name)
            writer.beginArray()
            for test in tests { writer.raw(test.encoding) }
            writer.endArray()
        }
        writer.endObject()
        return writer.bytes
    }
}

// MARK: In memory

extension Filter {
    /// Whether a document of the filter's tenant passes. Allocates nothing: `/stream` asks for each client and event. Whose a
    /// document is, attributes do not tell: who asks sees to it that it is the tenant's.
    package func matches(_ subject: some FilterSubject) -> Bool {
        if let collections = scope.collections {
            guard case .string(let collection)? = subject.value(of: .collection) else { return false }
            guard Self.holds(collections, collection) else { return false }
        }
        if time.from != nil || time.to != nil {
            guard case .time(let moment)? = subject.value(of: .eventTime) else { return false }
            guard moment >= time.from ?? .min, moment < time.to ?? .max else { return false }
        }
        for test in must where !test.holds(subject.value(of: test.attribute)) { return false }
        for test in mustNot where test.holds(subject.value(of: test.attribute)) { return false }
        return true
    }

    /// Whether a document may pass of which only some attributes are known: only those are looked at.
    package func mayMatch(_ subject: some FilterSubject) -> Bool {
        if let collections = scope.collections, case .string(let collection)? = subject.value(of: .collection) {
            guard Self.holds(collections, collection) else { return false }
        }
        if case .time(let moment)? = subject.value(of: .eventTime) {
            guard moment >= time.from ?? .min, moment < time.to ?? .max else { return false }
        }
        for test in must {
            if let value = subject.value(of: test.attribute), !test.holds(value) { return false }
        }
        for test in mustNot {
            if let value = subject.value(of: test.attribute), test.holds(value) { return false }
        }
        return true
    }

    private static func holds(_ collections: [String], _ collection: String) -> Bool {
        for one in collections where one.utf8.elementsEqual(collection.utf8) { return true }
        return false
    }
}

extension AttributeList: FilterSubject {}

// MARK: Normal form

/// Takes tests in normal form, one by one, and puts together what is one.
private struct FilterNormalForm {
    var scope: Filter.Scope
    var time: Filter.TimeRange
    var must: [AttributeTest] = []
    var mustNot: [AttributeTest] = []

    init(scope: Filter.Scope, time: Filter.TimeRange) {
        self.scope = Filter.Scope(tenant: scope.tenant)
        self.time = time
        if let collections = scope.collections { keep(collections) }
    }

    mutating func add(must test: AttributeTest) {
        switch test.condition {
        case .oneOf(let values) where test.attribute == .collection:
            keep(values.compactMap { if case .string(let text) = $0 { text } else { nil } })
        case .between(let from, let to) where test.attribute == .eventTime && Self.areTimes(from, to):
            if case .time(let from)? = from { time.from = max(from, time.from ?? from) }
            if case .time(let to)? = to { time.to = min(to, time.to ?? to) }
        default:
            Self.add(test, to: &must) { $0.and($1) }
        }
    }

    mutating func add(mustNot test: AttributeTest) {
        Self.add(test, to: &mustNot) { $0.or($1) }
    }

    private static func add(
        _ test: AttributeTest, to tests: inout [AttributeTest],
        joined: (AttributeTest, AttributeTest) -> AttributeTest?
    ) {
        for place in tests.indices {
            guard let one = joined(tests[place], test) else { continue }
            tests[place] = one
            return
        }
        tests.append(test)
    }

    private static func areTimes(_ ends: AttributeValue?...) -> Bool {
        ends.allSatisfy { end in
            guard let end else { return true }
            if case .time = end { return true }
            return false
        }
    }

    /// Only documents of these collections.
    private mutating func keep(_ collections: [String]) {
        let wanted = AttributeValue.sortedOnce(collections.map(AttributeValue.string))
        let kept = scope.collections.map { known in
            wanted.filter { $0.isAmong(sorted: known.map(AttributeValue.string)) }
        }
        scope.collections = (kept ?? wanted).compactMap { if case .string(let text) = $0 { text } else { nil } }
    }

    /// Where nothing passes a test, the others of its attribute do not matter.
    var mustInOrder: [AttributeTest] {
        let impossible = Set(must.filter(\.isNever).map(\.attribute))
        return Self.sorted(
            must.filter { !impossible.contains($0.attribute) }
                + impossible.map { AttributeTest($0, .oneOf([])) })
    }

    /// Without those that keep nothing out.
    var mustNotInOrder: [AttributeTest] { Self.sorted(mustNot.filter { !$0.isNever }) }

    /// By their encodings, each once.
    private static func sorted(_ tests: [AttributeTest]) -> [AttributeTest] {
        let encoded = tests.map { (test: $0, bytes: $0.encoding) }
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        return encoded.indices.filter { $0 == 0 || encoded[$0].bytes != encoded[$0 - 1].bytes }.map { encoded[$0].test }
    }
}
