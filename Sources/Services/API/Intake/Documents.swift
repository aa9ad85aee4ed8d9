import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Logic
import Records
import Sources
import Telemetry

/// Documents of the collections whose sources have the connector `documents`: written, replaced and deleted over HTTP.
struct Documents: Sendable {
    let intake: Intake
    let turns: RequestTurns
    private let watch: SearchableWatch?

    init(intake: Intake, turns: RequestTurns) {
        self.intake = intake
        self.turns = turns
        watch = intake.desk.map(SearchableWatch.init)
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.addDocuments, async: { input, request in try await add(input, request) })
        set.add(Contract.putDocument, async: { input, request in try await put(input, request) })
        set.add(Contract.deleteDocument, async: { input, request in try await delete(input, request) })
    }

    // MARK: Writing

    /// `POST /documents`
    private func add(_ input: DocumentsInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let deadline = turns.deadline
        let target = try target(input.write, request)
        let taken = try await intake.take(
            request, to: target.source, rate: target.rate, key: input.write.key, needsID: true,
            share: try intake.enter(request))
        return try await reply(taken, input.write, request, deadline)
    }

    /// `PUT /documents/{doc_id}`
    private func put(_ input: DocumentPutInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let deadline = turns.deadline
        let target = try target(input.write, request)
        let taken = try await intake.take(
            request, to: target.source, rate: target.rate, key: input.write.key, needsID: true, only: input.docID,
            share: try intake.enter(request))
        return try await reply(taken, input.write, request, deadline)
    }

    /// `DELETE /documents/{doc_id}`: an object that says that the document is deleted, as the mapping has it.
    private func delete(_ input: DocumentDeleteInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let deadline = turns.deadline
        let target = try target(input.write, request)
        let key = Array(input.docID.utf8)
        guard key.count <= IntakeBody.Bounds.keyBytesMax else {
            throw Self.invalid(
                "path", "doc_id", "string_too_long", "must have at most \(IntakeBody.Bounds.keyBytesMax) bytes",
                input.docID)
        }
        var members: [(FieldPath, JSONValue)] = [
            (target.mapping.id, JSONValue.string(input.docID)), (target.mapping.deleted, .bool(true)),
        ]
        switch (target.mapping.version, input.version) {
        case (nil, nil): break
        case (nil, let given?):
            throw Self.invalid(
                "query", "version", "extra_forbidden", "the collection's documents have no version", given)
        case (_?, nil):
            throw Self.invalid(
                "query", "version", "missing",
                "is required, since the collection's documents have versions: the deletion counts for older ones", nil)
        case (let path?, let given?): members.append((path, try Self.version(given)))
        }
        let object = Array(Self.object(members).text.utf8)
        let taken = try await intake.take(
            object, key: key, to: target.source, rate: target.rate, key: input.write.key,
            hasVersions: target.mapping.version != nil, share: try intake.enter(request))
        return try await reply(taken, input.write, request, deadline)
    }

    private static func version(_ text: String) throws(EndpointError) -> JSONValue {
        let number = Array(text.utf8).withUnsafeBytes { DecimalText.integer($0) }
        if let number, number >= 1 { return .integer(number) }
        if let time = CivilTime.epochMilliseconds(text), time > 0 { return .string(text) }
        throw invalid("query", "version", "value_error", "must be a whole number from 1 on or an RFC 3339 time", text)
    }

    /// One object with these values at these places.
    static func object(_ values: [(FieldPath, JSONValue)]) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        for (path, value) in values {
            place(value, at: path.text.split(separator: ".").map(String.init)[...], in: &members)
        }
        return .object(members)
    }

    private static func place(
        _ value: JSONValue, at names: ArraySlice<String>, in members: inout [(key: String, value: JSONValue)]
    ) {
        guard let name = names.first else { return }
        let index = members.firstIndex { $0.key == name }
        guard names.count > 1 else {
            if let index { members[index].value = value } else { members.append((name, value)) }
            return
        }
        var inner = index.flatMap { members[$0].value.object } ?? []
        place(value, at: names.dropFirst(), in: &inner)
        if let index { members[index].value = .object(inner) } else { members.append((name, .object(inner))) }
    }

    // MARK: Whose and what

    private struct Target {
        let source: SourceDeclaration
        let rate: Int?
        let mapping: DocumentMapping
    }

    /// The collection that a request writes to.
    ///
    /// - Throws: 404 where there is none of that name that takes documents, 422 where there are several and none is named.
    private func target(_ input: DocumentWriteInput, _ request: HTTPRequest) throws -> Target {
        let tenant = try intake.access.tenant(of: request)
        let all = try intake.open().sources().compactMap { source -> Target? in
            guard source.tenant == tenant, case .documents(let declaration) = source.connector,
                case .document(let logic) = source.logic
            else { return nil }
            return Target(source: source, rate: declaration.documentsPerSecond, mapping: logic.mapping)
        }
        let names = all.map(\.source.collection.name.text)
        guard let wanted = input.collection else {
            guard all.count < 2 else {
                throw Self.invalid(
                    "query", "collection", "missing",
                    "is required, since there are several: \(names.sorted().joined(separator: ", "))", nil)
            }
            guard let only = all.first else {
                throw Intake.unknown("collection", "", kind: "documents", known: [], parameter: "collection")
            }
            return only
        }
        guard let found = all.first(where: { $0.source.collection.name.text == wanted }) else {
            throw Intake.unknown("collection", wanted, kind: "documents", known: names, parameter: "collection")
        }
        return found
    }

    private static func invalid(
        _ place: String, _ name: String, _ type: String, _ message: String, _ input: String?
    ) -> EndpointError {
        .invalid([
            InputFault(
                type: type, location: [.name(place), .name(name)], message: message, input: input.map(JSONValue.string))
        ])
    }

    // MARK: Waiting

    /// 202, or 200 once the index has come to what was written, where that is wanted.
    private func reply(
        _ taken: Intake.Taken, _ input: DocumentWriteInput, _ request: HTTPRequest, _ deadline: Deadline
    ) async throws -> HTTPResponse {
        var reply = TakenReply(taken)
        guard input.wait == .searchable, let watch, let nextOffsets = reply.nextOffsets else {
            return .fresh(reply.json, status: 202)
        }
        let patience = Deadline(milliseconds: min(input.waitMilliseconds, deadline.leftMilliseconds))
        guard
            let reach = try await watch.wait(
                for: nextOffsets, by: intake.access.origin(of: request), deadline: patience)
        else {
            return .fresh(reply.json, status: 202)
        }
        // What is taken is taken, whatever the index says now.
        let count = try? await watch.count(reply.offsets, of: taken.source.tenant, deadline: deadline)
        guard let count else { return .fresh(reply.json, status: 202) }
        reply.searchable = (count, reach.indexVersion)
        return .fresh(reply.json)
    }
}
