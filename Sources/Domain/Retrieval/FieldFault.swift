/// One thing wrong with one field of a request. The shape is FastAPI's 422 detail, which clients of such services know.
package struct FieldFault: Sendable, Equatable {
    /// A word for programs such as `missing`, `string_too_long`.
    package var type: String
    /// The path to the field: `body`, `query` or `path`, then names and indices.
    package var location: [Step]
    /// A sentence for people.
    package var message: String
    /// What was given, one JSON value; nil where nothing was.
    package var inputJSON: [UInt8]?

    package init(type: String, location: [Step], message: String, inputJSON: [UInt8]? = nil) {
        self.type = type
        self.location = location
        self.message = message
        self.inputJSON = inputJSON
    }

    /// One step of a path.
    package enum Step: Sendable, Equatable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
        case name(String)
        case index(Int)

        package init(stringLiteral value: String) { self = .name(value) }
        package init(integerLiteral value: Int) { self = .index(value) }
    }
}
