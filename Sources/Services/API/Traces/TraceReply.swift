import Bytes
import JSONScan
import Records

/// Traces as replies say them.
enum TraceReply {
    static func body(of trace: Trace) -> [UInt8] {
        var writer = JSONWriter(capacity: 8_192)
        writer.beginObject()
        writer.identity(of: trace)
        writer.key("passages")
        writer.beginArray()
        for passage in trace.passages { writer.passage(passage) }
        writer.endArray()
        writer.steps(of: trace)
        writer.key("answers")
        writer.beginArray()
        for answer in trace.answers {
            writer.beginObject()
            writer.key("answer_id")
            writer.string(answer.id)
            writer.key("created_at")
            writer.time(answer.createdAtMilliseconds)
            writer.key("cited")
            writer.bool(answer.isCited)
            writer.endObject()
        }
        writer.endArray()
        writer.commands(TraceCommands.commands(for: trace))
        writer.endObject()
        return writer.bytes
    }

    static func body(of trace: AnswerTrace) -> [UInt8] {
        let answer = trace.answer
        var writer = JSONWriter(capacity: 8_192 * (trace.citations.count + 1))
        writer.beginObject()
        writer.string("answer_id", answer.id)
        writer.string("question", answer.question)
        writer.key("created_at")
        writer.time(answer.createdAtMilliseconds)
        writer.bool("refused", answer.isRefused)
        writer.integer("generation", answer.generation)
        writer.integer("index_version", answer.indexVersion)
        writer.integer("withheld", trace.withheld)
        writer.integer("hits", trace.hits)
        writer.bool("complete", trace.isComplete)
        writer.key("problems")
        writer.strings(trace.problems)
        writer.key("sentences")
        writer.beginArray()
        for sentence in trace.sentences {
            writer.beginObject()
            writer.string("text", sentence.text)
            writer.key("citations")
            writer.beginArray()
            for number in sentence.citations { writer.integer(number) }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.key("citations")
        writer.beginArray()
        for citation in trace.citations { writer.citation(citation) }
        writer.endArray()
        writer.commands(TraceCommands.commands(forAnswer: answer.id))
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func citation(_ citation: TraceCitation) {
        beginObject()
        integer("n", citation.number)
        integer("passage", citation.passage)
        key("text")
        optional(citation.text)
        string("snippet", citation.snippet)
        identity(of: citation.trace)
        steps(of: citation.trace)
        commands(TraceCommands.commands(for: citation.trace))
        endObject()
    }

    fileprivate mutating func identity(of trace: Trace) {
        string("doc_id", trace.docID)
        string("collection", trace.collection)
        string("title", trace.title)
        string("url", trace.url)
        integer("version", trace.version)
        integer("generation", trace.generation)
        integer("index_version", trace.indexVersion)
        string("logic_version", trace.logicVersion)
        key("content_hash")
        optional(trace.contentHash)
        bool("complete", trace.isComplete)
        key("problems")
        strings(trace.problems)
        key("quality_flags")
        strings(trace.qualityFlags)
        key("rules")
        strings(trace.rules)
    }

    fileprivate mutating func steps(of trace: Trace) {
        key("gold")
        line(trace.gold)
        key("silver")
        line(trace.silver)
        key("logic")
        logic(trace.logic)
        key("bronze")
        beginArray()
        for bronze in trace.bronze { self.bronze(bronze) }
        endArray()
        key("times")
        times(trace.times)
    }

    private mutating func logic(_ logic: TraceLogic?) {
        guard let logic else {
            null()
            return
        }
        beginObject()
        string("type", logic.kind)
        key("settings")
        raw(logic.settingsJSON)
        key("saw")
        beginObject()
        for (path, found) in logic.fields {
            guard let found else { continue }
            key(dynamic: path)
            value(found)
        }
        endObject()
        endObject()
    }

    private mutating func times(_ times: TraceTimes) {
        beginObject()
        for step in TraceTimes.Step.allCases {
            key(dynamic: step.rawValue)
            time(times[step])
        }
        key("steps")
        beginArray()
        for step in times.steps {
            beginObject()
            string("from", step.from.rawValue)
            string("to", step.to.rawValue)
            integer("ms", step.milliseconds)
            endObject()
        }
        endArray()
        key("total_ms")
        optional(times.totalMilliseconds)
        key("committed_within_ms")
        optional(times[.committed].map { _ in times.committedWithin })
        endObject()
    }

    fileprivate mutating func commands(_ commands: [TraceCommands.Line]) {
        key("commands")
        beginArray()
        for command in commands {
            beginObject()
            string("tool", command.tool)
            string("shows", command.shows)
            string("command", command.text)
            endObject()
        }
        endArray()
    }
}

extension JSONWriter {
    fileprivate mutating func strings(_ values: [String]) {
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    fileprivate mutating func passage(_ passage: TracePassage) {
        beginObject()
        key("passage")
        integer(passage.passage)
        key("text")
        string(passage.text)
        key("text_hash")
        string(passage.textHash)
        key("model")
        optional(passage.model)
        key("from_version")
        integer(passage.fromVersion)
        endObject()
    }

    fileprivate mutating func line(_ line: TraceLine?) {
        guard let line else {
            null()
            return
        }
        beginObject()
        key("record")
        raw(line.line)
        bool("derived_again", line.location == nil)
        location(line.location)
        endObject()
    }

    private mutating func location(_ location: LakeLocation?) {
        key("file")
        optional(location?.file)
        key("frame_offset")
        optional(location?.frameOffset)
        key("frame_length")
        optional(location?.frameLength)
        key("line_offset")
        optional(location?.lineOffset)
    }

    fileprivate mutating func bronze(_ bronze: TraceBronze) {
        beginObject()
        key("topic")
        string(bronze.topic)
        key("partition")
        integer(bronze.partition)
        key("offset")
        integer(bronze.offset)
        key("timestamp_ms")
        integer(bronze.timestampMilliseconds)
        key("timestamp")
        time(bronze.timestampMilliseconds)
        key("sha256")
        string(bronze.sha256)
        key("lineage_sha256")
        string(bronze.lineageSHA256)
        key("hash_ok")
        bool(bronze.isHashRight)
        text("key", "key_base64", bronze.key)
        text("value", "value_base64", bronze.value)
        key("value_bytes")
        optional(bronze.value.map { Int64($0.count) })
        key("headers")
        beginArray()
        for header in bronze.headers {
            beginObject()
            key("name")
            string(header.name)
            text("value", "value_base64", header.value)
            endObject()
        }
        endArray()
        string("read_from", bronze.place.rawValue)
        location(bronze.location)
        endObject()
    }

    /// Bytes as text, exactly, where they are UTF-8 (else null), and always as base64 (null where there are none).
    private mutating func text(_ textName: StaticString, _ base64Name: StaticString, _ bytes: [UInt8]?) {
        key(textName)
        optional(bytes.flatMap { String(validating: $0, as: UTF8.self) })
        key(base64Name)
        optional(bytes.map { Base64.string($0) })
    }
}
