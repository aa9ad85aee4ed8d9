import Bytes
import Forms
import HTTPEndpoints
import Records
import Retrieval

/// How thoroughly `POST /search` looks, and what it counts beside.
struct CountingInput: Sendable {
    var isExact = false
    var ef: Int?
    var facets: [String]?
    var wantsTotal = false

    static let fields: [Field<SearchInput>] = [
        Field(
            "exact", \.counting.isExact, .bool,
            "Whether all passages that pass the filters are compared with the query's vector, instead of those that the graph leads "
                + "to. Where the time for that is not enough, `incomplete_arms` says so."),
        Field(
            "ef", \.counting.ef, Form<Int>.integer(1...SearchLimits.efMax).optional,
            "Candidates that the search in the graph keeps: more find more and take longer; SEARCH_EF if left out."),
        Field(
            "facets", \.counting.facets,
            Form<[String]>.oneOrMany(of: .string(1...AttributeName.bytesMax), countMax: SearchLimits.facetsMax)
                .optional,
            "Attributes whose values are counted over the documents that pass the filters and hold a word of the query, such as "
                + "`lang`, `wiki`, `collection`."),
        Field(
            "total", \.counting.wantsTotal, .bool,
            "Whether the documents that pass the filters and hold a word of the query are counted."),
    ]

    /// Adds it to a request; false with faults noted where it cannot be asked.
    func apply(
        to request: inout SearchRequest, _ declared: DeclaredAttributes, _ reading: inout InputReading
    ) -> Bool {
        request.isExact = isExact
        request.ef = ef
        request.wantsTotal = wantsTotal
        guard wantsTotal || facets != nil else { return true }
        var attributes: [AttributeName] = []
        let faults = reading.faults.count
        for (index, text) in (facets ?? []).enumerated() {
            reading.at(.name("facets")) { reading in
                reading.at(.index(index)) { reading in
                    guard let name = Self.attribute(text, declared, request, &reading) else { return }
                    if !attributes.contains(name) { attributes.append(name) }
                }
            }
        }
        request.counted = CountedAttributes(attributes: attributes)
        return reading.faults.count == faults
    }

    private static func attribute(
        _ text: String, _ declared: DeclaredAttributes, _ request: SearchRequest, _ reading: inout InputReading
    ) -> AttributeName? {
        guard let name = AttributeName(text) else {
            reading.fault("attribute_name", "must be \(AttributeName.grammar)", input: .string(text))
            return nil
        }
        guard name != .eventTime else {
            reading.fault("facet_time", "is a time, whose values are not counted", input: .string(text))
            return nil
        }
        let declarations = declared.declarations(of: name, in: request.filter.scope.collections)
        guard !declarations.isEmpty else {
            reading.fault(
                "attribute_unknown", "is an attribute that no collection asked for declares", input: .string(text))
            return nil
        }
        guard declarations.contains(where: \.isFilterable) else {
            reading.fault(
                "attribute_not_filterable", "cannot be counted by, as its collection declares", input: .string(text))
            return nil
        }
        return name
    }
}

extension SearchRequest {
    /// Whether it is one of the searches that may take longer than others.
    var isCostly: Bool { !filter.takesAll || isExact || counted != nil || past != nil }
}

extension CandidateQuery {
    /// Takes over how thoroughly is looked, and what is counted.
    mutating func options(of request: SearchRequest) {
        if request.isExact { vectorScan = .exact }
        ef = request.ef
        counted = request.counted
    }

    /// Whether it is one of the searches that may take longer than others.
    var isCostly: Bool { !filter.takesAll || counted != nil }
}

extension JSONWriter {
    /// `total` and `facets`, as far as they were asked for.
    mutating func counts(_ counts: SearchCounts?, of request: SearchRequest) {
        guard let counts else { return }
        let relation = counts.isCut ? "gte" : "eq"
        if request.wantsTotal {
            key("total")
            beginObject()
            integer("value", counts.documents)
            string("relation", relation)
            endObject()
        }
        guard let counted = request.counted, !counted.attributes.isEmpty else { return }
        key("facets")
        beginObject()
        for facet in counts.facets {
            key(dynamic: facet.attribute.text)
            beginObject()
            key("values")
            beginArray()
            for value in facet.values {
                beginObject()
                key("value")
                value.value.append(to: &self)
                integer("count", value.count)
                endObject()
            }
            endArray()
            key("has_more")
            bool(facet.hasMore)
            string("relation", relation)
            endObject()
        }
        endObject()
    }
}
