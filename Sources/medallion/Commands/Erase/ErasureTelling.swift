import Bytes
import Console
import Lake
import Records
import Telemetry

/// What `medallion erase` says, for people or as JSON.
struct ErasureTelling: Sendable {
    let isJSON: Bool

    /// One thing that was found, done, or remains.
    ///
    /// - Parameters:
    ///   - kind: `match`, `mention`, `done` or `remains`.
    ///   - place: where.
    ///   - count: how many; nil where nothing is counted.
    ///   - text: the rest, for people.
    func say(_ kind: String, _ place: String, count: Int64? = nil, _ text: String = "") {
        guard isJSON else {
            let number = count.map { "\($0)  " } ?? ""
            return Output.line("\(kind)  \(LogText.escaped(place))  \(number)\(LogText.escaped(text))")
        }
        var json = JSONWriter()
        json.beginObject()
        json.string("kind", kind)
        json.string("place", place)
        if let count { json.integer("count", count) }
        json.string("text", text)
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    /// What the lake's log has.
    func list(_ states: [ErasureState]) {
        if states.isEmpty, !isJSON { Output.line("nothing was erased") }
        for state in states {
            let erasure = state.erasure
            let records = state.parts.values.reduce(0) { $0 + $1.count }
            guard isJSON else {
                Output.line(
                    "\(erasure.id)  \(state.isDone ? "done" : "not finished")  \(erasure.target.kind.rawValue) of "
                        + "\(LogText.escaped(erasure.target.collection))  \(records) records  by \(LogText.escaped(erasure.by))  "
                        + "\(CivilTime.rfc3339(erasure.atMilliseconds))  \(LogText.escaped(erasure.reason))")
                continue
            }
            var json = JSONWriter()
            json.beginObject()
            erasure.append(to: &json)
            json.integer("records", records)
            json.bool("done", state.isDone)
            json.key("remaining")
            json.beginArray()
            for text in state.parts.sorted(by: { $0.key < $1.key }).flatMap(\.value.remaining) { json.string(text) }
            json.endArray()
            json.endObject()
            Output.write(json.bytes + [0x0A])
        }
    }
}
