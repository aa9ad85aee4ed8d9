import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Telemetry

/// `GET /trace/{doc_id}`: from a document back to the raw event.
struct Traces: Sendable {
    let sources: LanePool<any TraceSource>
    let access: AccessGuard
    let turns: RequestTurns
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.trace, async: { input, request in try await trace(input, request) })
    }

    /// `GET /trace/{doc_id}`
    func trace(_ input: TraceInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        return try await turns.run(.trace, request) { deadline in
            try await trace(input, of: tenant, request, deadline: deadline)
        }
    }

    private func trace(
        _ input: TraceInput, of tenant: TenantID, _ request: HTTPRequest, deadline: Deadline
    ) async throws -> HTTPResponse {
        let (docID, generation) = (input.docID, input.generation.map(Int64.init))
        let collection = input.collection
        let found: Trace?
        do {
            found = try await sources.run(deadline: deadline) { source, timeout in
                try source.trace(
                    docID: docID, collection: collection, tenant: tenant, generation: generation,
                    timeoutMilliseconds: timeout)
            }
        } catch let error as AmbiguousDocument {
            throw EndpointError.invalid([
                InputFault(
                    type: "ambiguous", location: [.name("query"), .name("collection")],
                    message:
                        "must say which document is meant: \(error.collections.joined(separator: ", ")) have one of "
                        + "this doc_id")
            ])
        }
        guard var found else {
            throw APIError(
                status: 404, type: "not_found", message: "no document with this doc_id is in the index",
                faults: [
                    InputFault(
                        type: "not_found", location: [.name("path"), .name("doc_id")], message: "names no document",
                        input: .string(docID))
                ])
        }
        for cause in found.causes { logger.requestFailed(cause, Contract.trace.path, requestID: request.id) }
        if access.isPlatformAdmin(request) { found.problems += found.causes }
        return .fresh(Self.body(of: found))
    }

    private static func body(of trace: Trace) -> [UInt8] {
        var writer = JSONWriter(capacity: 8_192)
        writer.beginObject()
        writer.key("doc_id")
        writer.string(trace.docID)
        writer.key("collection")
        writer.string(trace.collection)
        writer.key("version")
        writer.integer(trace.version)
        writer.key("generation")
        writer.integer(trace.generation)
        writer.key("index_version")
        writer.integer(trace.indexVersion)
        writer.key("logic_version")
        writer.string(trace.logicVersion)
        writer.key("complete")
        writer.bool(trace.isComplete)
        writer.key("problems")
        writer.strings(trace.problems)
        writer.key("quality_flags")
        writer.strings(trace.qualityFlags)
        writer.key("rules")
        writer.strings(trace.rules)
        writer.key("passages")
        writer.beginArray()
        for passage in trace.passages { writer.passage(passage) }
        writer.endArray()
        writer.key("gold")
        writer.line(trace.gold)
        writer.key("silver")
        writer.line(trace.silver)
        writer.key("bronze")
        writer.beginArray()
        for bronze in trace.bronze { writer.bronze(bronze) }
        writer.endArray()
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
        writer.endObject()
        return writer.bytes
    }
}

extension Trace {
    /// Whether every step was found and every hash is right.
    package var isComplete: Bool {
        gold != nil && silver != nil && !bronze.isEmpty && problems.isEmpty && bronze.allSatisfy(\.isHashRight)
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
        location(line.location)
        endObject()
    }

    fileprivate mutating func location(_ location: LakeLocation) {
        key("file")
        string(location.file)
        key("frame_offset")
        integer(location.frameOffset)
        key("frame_length")
        integer(location.frameLength)
        key("line_offset")
        optional(location.lineOffset)
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
