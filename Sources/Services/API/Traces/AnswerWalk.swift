import Bytes
import JSONScan
import Records
import Retrieval
import Store

/// From a kept answer's sentences to the raw events, by what the answer kept: its reply names the lineage of each citation, and beside it
/// stands where the index had the document from. So the index may show other documents by now, or have removed them. What is suppressed
/// is left out as it is of the answer itself, and not followed.
struct AnswerWalk {
    let given: GivenAnswer
    let sources: [AnswerSource]

    /// Citations of one answer are far fewer; a damaged row is not to cost more.
    private static let citationsMax = 100

    func trace(_ walk: inout LineageWalk) -> AnswerTrace {
        let answer = given.answer
        var trace = AnswerTrace(answer: answer, hits: given.hits, sentences: [], citations: [], problems: [])
        trace.withheld = given.suppressed.count
        guard let reply = try? JSONValue.parse(WithheldAnswer(given).replyJSON, maxDepth: 64) else {
            trace.problems.append("the reply as it was kept cannot be read")
            return trace
        }
        if let bytes = reply["left_out_bytes"]?.integer {
            trace.problems.append("the reply of \(bytes) bytes was too large to be kept: its citations are not known")
        }
        for sentence in reply["sentences"]?.array ?? [] {
            trace.sentences.append(
                (sentence["text"]?.string ?? "", (sentence["citations"]?.array ?? []).compactMap(\.integer)))
        }
        for citation in (reply["citations"]?.array ?? []).prefix(Self.citationsMax) {
            trace.citations.append(follow(citation, &walk))
        }
        let known = Set(trace.citations.map(\.number))
        for (number, sentence) in trace.sentences.enumerated() where !known.isSuperset(of: sentence.citations) {
            trace.problems.append("sentence \(number + 1) cites a passage that the reply does not list")
        }
        return trace
    }

    private func follow(_ citation: JSONValue, _ walk: inout LineageWalk) -> TraceCitation {
        let answer = given.answer
        let (docID, collection) = (citation["doc_id"]?.string ?? "", citation["collection"]?.string ?? "")
        let seen = sources.first { $0.docID == docID && $0.collection == collection }?.seen
        let lineage = citation["lineage"]
        let parents = (lineage?["parents"]?.array ?? []).compactMap(ParentReference.init)
        var trace = Trace(
            docID: docID, collection: collection, version: citation["version"]?.integer ?? 0,
            generation: answer.generation, indexVersion: answer.indexVersion,
            logicVersion: lineage?["logic_version"]?.string ?? "", qualityFlags: [], rules: [], passages: [], gold: nil,
            silver: nil, bronze: [], problems: [])
        (trace.title, trace.url) = (citation["title"]?.string ?? "", citation["url"]?.string ?? "")
        if let seen {
            trace.contentHash = seen.contentHash
            trace.times.set(seen.times)
            if seen.version != trace.version {
                trace.problems.append("the reply cites version \(trace.version), the index showed \(seen.version)")
            }
        }
        trace.times[.event] = citation["event_time"]?.string.flatMap { CivilTime.epochMilliseconds($0) }
        if let own = parents.first {
            walk.follow(
                from: seen?.source ?? own.topicPartition, offset: seen?.sourceOffset ?? own.offset, parents, &trace)
        } else {
            trace.problems.append("the reply names no event of this citation")
        }
        let passage = citation["passage"]?.integer ?? 0
        return TraceCitation(
            number: citation["n"]?.integer ?? 0, passage: passage, text: Self.passage(passage, of: trace.gold),
            snippet: citation["snippet"]?.string ?? "", trace: trace)
    }

    /// The passage by the Gold line, which lists where each stands in the document's text.
    private static func passage(_ number: Int64, of gold: TraceLine?) -> String? {
        guard let gold, let document = try? gold.line.withUnsafeBytes({ try GoldLine.decode($0) }) else { return nil }
        let texts = document.passageTexts
        return Int(exactly: number).flatMap { texts.indices.contains($0) ? texts[$0] : nil }
    }
}

extension ParentReference {
    /// A parent of a lineage; nil where a member is missing.
    init?(_ value: JSONValue) {
        guard let topic = value["topic"]?.string,
            let partition = value["partition"]?.integer.flatMap(Int32.init(exactly:)),
            let offset = value["offset"]?.integer, let eventID = value["event_id"]?.string,
            let hash = value["bronze_sha256"]?.string
        else { return nil }
        self.init(topic: topic, partition: partition, offset: offset, eventID: eventID, bronzeSHA256: hash)
    }
}
