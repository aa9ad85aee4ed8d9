import Bytes
import Retrieval

extension JSONWriter {
    /// What of a question became filters; nothing where nothing did.
    mutating func interpreted(_ interpretation: Interpretation?) {
        guard let interpretation else { return }
        key("interpreted")
        beginObject()
        key("query")
        string(interpretation.query)
        key("parts")
        beginArray()
        for part in interpretation.parts {
            beginObject()
            key("kind")
            string(part.kind.rawValue)
            key("text")
            string(part.text)
            key("filter")
            raw(part.filter.asked)
            endObject()
        }
        endArray()
        endObject()
    }
}
