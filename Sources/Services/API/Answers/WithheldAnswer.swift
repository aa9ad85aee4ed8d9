import JSONScan
import Retrieval

/// What of a stored answer may be shown: sentences that cite a suppressed document are left out, and so is the document.
struct WithheldAnswer {
    /// The answer's own members, as they may be shown.
    var replyJSON: [UInt8]
    var retrievedJSON: [UInt8]

    init(_ given: GivenAnswer) {
        (replyJSON, retrievedJSON) = (given.answer.replyJSON, given.answer.retrievedJSON)
        guard !given.suppressed.isEmpty else { return }
        let isSuppressed: (JSONValue) -> Bool = { document in
            // One that does not tell its collection may be any collection's.
            given.suppressed.contains {
                $0.docID == document["doc_id"]?.string
                    && ($0.collection == document["collection"]?.string || document["collection"] == nil)
            }
        }
        replyJSON = Self.reply(replyJSON, without: isSuppressed)
        retrievedJSON = Self.list(retrievedJSON, without: isSuppressed)
    }

    private static func reply(_ json: [UInt8], without isSuppressed: (JSONValue) -> Bool) -> [UInt8] {
        // What cannot be read cannot be looked through either.
        guard let reply = try? JSONValue.parse(json), let members = reply.object else { return Array("{}".utf8) }
        var gone: Set<Int64> = []
        for citation in reply["citations"]?.array ?? [] where isSuppressed(citation) {
            if let number = citation["n"]?.integer { gone.insert(number) }
        }
        let kept = members.map { name, value -> (key: String, value: JSONValue) in
            guard let list = value.array else { return (name, value) }
            switch name {
            case "citations": return (name, .array(list.filter { !isSuppressed($0) }))
            case "sentences":
                return (
                    name,
                    .array(
                        list.filter { sentence in
                            let cited = sentence["citations"]?.array ?? []
                            return !cited.contains { $0.integer.map(gone.contains) ?? true }
                        })
                )
            default: return (name, value)
            }
        }
        return Array(JSONValue.object(kept).text.utf8)
    }

    private static func list(_ json: [UInt8], without isSuppressed: (JSONValue) -> Bool) -> [UInt8] {
        guard let list = (try? JSONValue.parse(json))?.array else { return Array("[]".utf8) }
        return Array(JSONValue.array(list.filter { !isSuppressed($0) }).text.utf8)
    }
}
