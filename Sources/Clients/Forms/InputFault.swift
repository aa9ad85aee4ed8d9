package import JSONScan

/// One step of the way to a wrong value.
package enum InputStep: Sendable, Equatable {
    case name(String)
    case index(Int)
}

/// One thing wrong with one value of a request: an entry of FastAPI's 422 detail, which clients of such services know.
package struct InputFault: Sendable, Equatable {
    /// A word for programs such as `missing`, `string_too_long`.
    package var type: String
    /// `body`, `query`, `path` or `header`, then names and indices.
    package var location: [InputStep]
    /// A sentence for people.
    package var message: String
    /// What was given, cut; nil where nothing was.
    package var input: JSONValue?

    package init(type: String, location: [InputStep], message: String, input: JSONValue? = nil) {
        self.type = type
        self.location = location
        self.message = message
        self.input = input.map(Self.cut)
    }

    /// Characters of a value that a reply repeats.
    private static let echoCharactersMax = 100

    private static func cut(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text):
            guard text.unicodeScalars.count > echoCharactersMax else { return value }
            var head = String.UnicodeScalarView()
            head.append(contentsOf: text.unicodeScalars.prefix(echoCharactersMax))
            return .string(String(head) + "…")
        case .array(let list): return .string("a list of \(list.count)")
        case .object(let members): return .string("an object of \(members.count)")
        case .null, .bool, .integer, .double: return value
        }
    }
}

/// Collects the faults of one request while its values are read.
package struct InputReading: Sendable {
    /// All that was found, in the order of reading.
    package private(set) var faults: [InputFault] = []
    private var path: [InputStep] = []
    /// Faults that one reply lists at most: a body of a thousand wrong members needs no reply of a thousand faults.
    package static let faultsMax = 32

    package init() {}

    /// Notes a fault of the value that is being read, or of one below it.
    package mutating func fault(
        _ type: String, _ message: String, at below: [InputStep] = [], input: JSONValue? = nil
    ) {
        guard faults.count < Self.faultsMax else { return }
        faults.append(InputFault(type: type, location: path + below, message: message, input: input))
    }

    /// Runs `body` for a value one step further down.
    package mutating func at<T>(_ step: InputStep, _ body: (inout InputReading) -> T) -> T {
        path.append(step)
        defer { path.removeLast() }
        return body(&self)
    }
}
