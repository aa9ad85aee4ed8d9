import Bytes
import Store

/// What differs between two generations for one golden query.
struct GoldenDifference: Sendable {
    struct Hit: Sendable, Equatable {
        let collection: String
        let docID: String
        let title: String
        let text: String

        func isSame(_ other: Hit) -> Bool { docID == other.docID && collection == other.collection }
    }

    /// The sentences of an answer.
    struct Said: Sendable, Equatable {
        let isRefused: Bool
        let sentences: [String]
    }

    /// Places count from 1.
    private(set) var entered: [(hit: Hit, place: Int)] = []
    private(set) var left: [(hit: Hit, place: Int)] = []
    private(set) var moved: [(hit: Hit, from: Int, to: Int)] = []
    /// Hits at the same place whose text is another one.
    private(set) var rewritten: [(before: Hit, after: Hit)] = []
    private(set) var unchanged = 0
    /// Of a question.
    var before: Said?
    var after: Said?

    init(_ old: [Hit], _ new: [Hit]) {
        for (place, hit) in new.enumerated() {
            guard let former = old.firstIndex(where: { $0.isSame(hit) }) else {
                entered.append((hit, place + 1))
                continue
            }
            if former != place { moved.append((hit, former + 1, place + 1)) }
            if old[former].text != hit.text { rewritten.append((old[former], hit)) }
            if former == place, old[former].text == hit.text { unchanged += 1 }
        }
        for (place, hit) in old.enumerated() where !new.contains(where: { $0.isSame(hit) }) {
            left.append((hit, place + 1))
        }
    }

    /// Whether somebody who asks would see it.
    var isChanged: Bool {
        !entered.isEmpty || !left.isEmpty || !moved.isEmpty || !rewritten.isEmpty || before != after
    }
}

extension JSONWriter {
    /// A golden query.
    mutating func golden(_ query: GoldenQuery) {
        beginObject()
        string("name", query.name)
        string("kind", query.kind.rawValue)
        string("query", query.query)
        key("options")
        raw(query.optionsJSON)
        endObject()
    }

    /// What differs for a golden query.
    ///
    /// - Parameter error: why it could not be compared; nil where it was.
    mutating func difference(_ difference: GoldenDifference, of query: GoldenQuery, error: String? = nil) {
        beginObject()
        string("name", query.name)
        string("kind", query.kind.rawValue)
        string("query", query.query)
        key("changed")
        bool(difference.isChanged)
        key("error")
        if let error { string(error) } else { null() }
        key("entered")
        beginArray()
        for (hit, place) in difference.entered { self.hit(hit) { $0.integer("place", place) } }
        endArray()
        key("left")
        beginArray()
        for (hit, place) in difference.left { self.hit(hit) { $0.integer("place", place) } }
        endArray()
        key("moved")
        beginArray()
        for (hit, from, to) in difference.moved {
            self.hit(hit) { writer in
                writer.integer("from", from)
                writer.integer("to", to)
            }
        }
        endArray()
        key("rewritten")
        beginArray()
        for (old, new) in difference.rewritten {
            hit(old) { writer in
                writer.string("before", Self.cut(old.text))
                writer.string("after", Self.cut(new.text))
            }
        }
        endArray()
        integer("unchanged", difference.unchanged)
        for (name, said) in [("answer_before", difference.before), ("answer_after", difference.after)] {
            key(dynamic: name)
            guard let said else {
                null()
                continue
            }
            beginObject()
            key("refused")
            bool(said.isRefused)
            key("sentences")
            beginArray()
            for sentence in said.sentences { string(sentence) }
            endArray()
            endObject()
        }
        endObject()
    }

    private static func cut(_ text: String) -> String { String(text.prefix(500)) }

    private mutating func hit(_ hit: GoldenDifference.Hit, _ more: (inout JSONWriter) -> Void) {
        beginObject()
        string("doc_id", hit.docID)
        string("collection", hit.collection)
        string("title", hit.title)
        more(&self)
        endObject()
    }
}
