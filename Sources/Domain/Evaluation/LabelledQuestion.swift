import Bytes
import JSONScan

/// A question of which somebody said by which documents it is answered, or that nothing answers it.
package struct LabelledQuestion: Sendable, Equatable {
    package var id: String
    package var text: String
    /// What it tries, such as `paraphrase`; questions are counted by it.
    package var kind: String
    /// Where the answer is looked for; nil for everywhere.
    package var collection: String?
    /// Ids of all documents that answer it; none where the right answer is a refusal.
    package var documents: Set<String>

    package init(id: String, text: String, kind: String, collection: String? = nil, documents: Set<String>) {
        self.id = id
        self.text = text
        self.kind = kind
        self.collection = collection
        self.documents = documents
    }

    /// Whether a document answers it.
    package var isAnswerable: Bool { !documents.isEmpty }

    private static let kindDefault = "question"
    /// Members that are read, and those that other programs may keep beside them.
    private static let members: Set = [
        "id", "question", "kind", "collection", "documents", "split", "answerable", "leave_out",
    ]

    /// Reads `{"id": "1", "question": "…", "documents": ["d1"]}`, a line each, as tools/make_questions.py writes them.
    ///
    /// - Parameter split: only those of this `split`; nil for all.
    package static func read(_ bytes: [UInt8], split: String?) throws(JudgedSetError) -> [LabelledQuestion] {
        var questions: [LabelledQuestion] = []
        var seen: Set<String> = []
        var splits: Set<String> = []
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where line.contains(where: { $0 > 0x20 }) {
            let place = "line \(index + 1) of the questions"
            let (question, of) = try read(Array(line), place)
            guard seen.insert(question.id).inserted else {
                throw JudgedSetError("two questions have the id \(question.id)")
            }
            if let of { splits.insert(of) }
            if split == nil || split == of { questions.append(question) }
            guard questions.count <= JudgedSet.queriesMax else {
                throw JudgedSetError("there are more than \(JudgedSet.queriesMax) questions")
            }
        }
        guard !questions.isEmpty else {
            let known = splits.isEmpty ? "" : "; there are \(splits.sorted().joined(separator: ", "))"
            throw JudgedSetError(split.map { "there is no question of split \($0)\(known)" } ?? "there is no question")
        }
        return questions
    }

    private static func read(
        _ bytes: [UInt8], _ place: String
    ) throws(JudgedSetError) -> (question: LabelledQuestion, split: String?) {
        let line: JSONValue
        do throws(JSONError) {
            line = try JSONValue.parse(bytes)
        } catch {
            throw JudgedSetError("\(place) is no JSON: \(error)")
        }
        guard let object = line.object else { throw JudgedSetError("\(place) is no JSON object") }
        for (name, _) in object where !members.contains(name) {
            throw JudgedSetError("\(place) has a member “\(name)”, which nobody reads")
        }
        guard let id = line["id"].flatMap({ $0.string ?? $0.integer.map(String.init) }), !id.isEmpty else {
            throw JudgedSetError("\(place) has no id, a text or a whole number")
        }
        guard let text = line["question"]?.string, text.contains(where: { !$0.isWhitespace }) else {
            throw JudgedSetError("\(place) (\(id)) has no question")
        }
        guard let listed = line["documents"]?.array else {
            throw JudgedSetError("\(place) (\(id)) has no documents: [] says that nothing answers it")
        }
        let documents = listed.compactMap(\.string)
        guard documents.count == listed.count, !documents.contains("") else {
            throw JudgedSetError("\(place) (\(id)): documents is no list of doc_ids")
        }
        if let told = line["answerable"]?.bool, told == documents.isEmpty {
            throw JudgedSetError("\(place) (\(id)): answerable and documents say different things")
        }
        let question = LabelledQuestion(
            id: id, text: text, kind: line["kind"]?.string ?? kindDefault, collection: line["collection"]?.string,
            documents: Set(documents))
        return (question, line["split"]?.string)
    }
}
