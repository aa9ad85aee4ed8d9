import Bytes
import Concurrency
import Console
import Evaluation
import Files
import HTTPClient
import JSONScan
import Telemetry

/// `medallion eval add`: a labelled question out of an answer that was given.
struct AnswerLabelling: Sendable {
    let answerID: String
    /// What answers it, in the eyes of who adds it; nil: what the answer cites, and nothing where it refused.
    let documents: [String]?
    let split: String?
    /// The file that gets one more line; nil for standard output.
    let path: String?

    /// - Throws: ``Failure`` where the answer is not kept, or the file cannot be written or has the question already.
    func run(_ api: APIClient) async throws {
        let url = api.base + "/answers/" + APIClient.segment(answerID)
        let bytes = try await Lane(name: "ask").run { try api.bytes(HTTPClientRequest(url: url)) }
        let line = try line(try JSONValue.parse(bytes, maxDepth: 64))
        guard let path else { return Output.write(line) }
        let there = Folder.exists(path) ? try EvalCommand.contents(path, "the questions (--to)") : []
        let separator = there.isEmpty || there.last == 0x0A ? [] : [UInt8(0x0A)]
        // Whatever is wrong with the file is told now, and not when somebody asks its questions.
        do throws(JudgedSetError) {
            _ = try LabelledQuestion.read(there + separator + line, split: nil)
        } catch {
            throw Failure("\(LogText.escaped(path)): \(LogText.escaped(error.description))")
        }
        // At the end, whatever another one has added meanwhile.
        try File(path, .append).append(separator + line)
    }

    private func line(_ answer: JSONValue) throws -> [UInt8] {
        guard let question = answer["question"]?.string, let reply = answer["reply"] else {
            throw Failure("the API's reply is no answer that was given")
        }
        let cited = (reply["citations"]?.array ?? []).compactMap { $0["doc_id"]?.string }
        let isRefused = answer["refused"]?.bool == true
        guard isRefused || !cited.isEmpty || documents != nil else {
            throw Failure("what the answer cites is not kept; --documents says what answers the question")
        }
        let documents = documents ?? (isRefused ? [] : cited)
        // One collection narrows the question; several do not.
        let collections = Set((reply["citations"]?.array ?? []).compactMap { $0["collection"]?.string })
        var json = JSONWriter()
        json.beginObject()
        json.string("id", answerID)
        json.string("kind", "given")
        json.string("question", question)
        if self.documents == nil, collections.count == 1, let collection = collections.first {
            json.string("collection", collection)
        }
        json.key("documents")
        json.beginArray()
        for document in Set(documents).sorted() { json.string(document) }
        json.endArray()
        if let split { json.string("split", split) }
        json.endObject()
        return json.bytes + [0x0A]
    }
}
