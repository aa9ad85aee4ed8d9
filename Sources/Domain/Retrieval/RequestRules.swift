import Bytes

/// The bounds that a request's values must keep, each a named fault. All of them are looked at, so that a client learns
/// everything at once.
package enum RequestRules {
    /// Faults of a query or question.
    package static func faults(query: String, at location: [FieldFault.Step]) -> [FieldFault] {
        if !query.unicodeScalars.contains(where: { !$0.properties.isWhitespace }) {
            return [
                FieldFault(
                    type: "string_too_short", location: location, message: "must hold at least one character",
                    inputJSON: echo(query))
            ]
        }
        return textFaults(query, at: location, charactersMax: SearchLimits.queryCharactersMax)
    }

    /// Faults of a number that must lie in a range.
    package static func faults(
        _ value: Int64, in range: ClosedRange<Int>, at location: [FieldFault.Step]
    ) -> [FieldFault] {
        let input = Array(String(value).utf8)
        if value < range.lowerBound {
            return [
                FieldFault(
                    type: "greater_than_equal", location: location, message: "must be at least \(range.lowerBound)",
                    inputJSON: input)
            ]
        }
        if value > range.upperBound {
            return [
                FieldFault(
                    type: "less_than_equal", location: location, message: "must be at most \(range.upperBound)",
                    inputJSON: input)
            ]
        }
        return []
    }

    /// Faults of one list of alternatives.
    package static func faults(values: [String], at location: [FieldFault.Step]) -> [FieldFault] {
        if values.count > SearchLimits.filterValuesMax {
            return [
                FieldFault(
                    type: "too_long", location: location,
                    message: "must hold at most \(SearchLimits.filterValuesMax) values, has \(values.count)")
            ]
        }
        var faults: [FieldFault] = []
        for (index, value) in values.enumerated() {
            faults += textFaults(
                value, at: values.count == 1 ? location : location + [.index(index)],
                charactersMax: SearchLimits.filterCharactersMax)
            if value.isEmpty {
                faults.append(
                    FieldFault(
                        type: "string_too_short", location: location + [.index(index)],
                        message: "must not be empty; leave the filter out instead", inputJSON: echo(value)))
            }
        }
        return faults
    }

    /// Faults of any text that goes to the database.
    package static func textFaults(
        _ text: String, at location: [FieldFault.Step], charactersMax: Int
    ) -> [FieldFault] {
        var faults: [FieldFault] = []
        let count = text.unicodeScalars.count
        if count > charactersMax {
            faults.append(
                FieldFault(
                    type: "string_too_long", location: location,
                    message: "must have at most \(charactersMax) characters, has \(count)", inputJSON: echo(text)))
        }
        // PostgreSQL's text cannot hold it, and nothing that is searched contains it.
        if text.unicodeScalars.contains("\0") {
            faults.append(
                FieldFault(
                    type: "string_pattern_mismatch", location: location, message: "must not contain U+0000",
                    inputJSON: echo(text)))
        }
        return faults
    }

    /// A fault when a time range holds no moment.
    package static func faults(range filters: SearchFilters, at location: [FieldFault.Step]) -> [FieldFault] {
        guard let from = filters.fromMilliseconds, let to = filters.toMilliseconds, from >= to else { return [] }
        return [
            FieldFault(
                type: "range_empty", location: location + [.name("to")],
                message: "must be after from (\(CivilTime.rfc3339(from)))", inputJSON: echo(CivilTime.rfc3339(to)))
        ]
    }

    /// `text` as JSON, cut so that an error reply stays small.
    package static func echo(_ text: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(Snippet.head(of: text, charactersMax: 100))
        return writer.bytes
    }
}
