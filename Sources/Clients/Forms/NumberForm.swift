import JSONScan

extension Form where Value == Double {
    /// A number within bounds.
    package static func number(_ range: ClosedRange<Double>) -> Form<Double> {
        var schema = Schema.number()
        schema["minimum"] = .double(range.lowerBound)
        schema["maximum"] = .double(range.upperBound)
        let check: @Sendable (Double, JSONValue, inout InputReading) -> Double? = { number, value, reading in
            if number < range.lowerBound {
                reading.fault("greater_than_equal", "must be at least \(range.lowerBound)", input: value)
            } else if number > range.upperBound {
                reading.fault("less_than_equal", "must be at most \(range.upperBound)", input: value)
            } else {
                return number
            }
            return nil
        }
        return Form(
            schema: schema, json: JSONValue.double,
            read: { value, reading in
                guard let number = value.double, number.isFinite else {
                    reading.fault("float_type", "must be a number", input: value)
                    return nil
                }
                return check(number, value, &reading)
            },
            readTexts: { texts, reading in
                guard let text = texts.first else { return nil }
                guard let number = Double(text), number.isFinite else {
                    reading.fault("float_parsing", "must be a number", input: .string(text))
                    return nil
                }
                return check(number, .string(text), &reading)
            })
    }
}
