import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Retrieval
import Store

extension Form where Value == AsOf {
    /// `as_of` of a request: the id of an answer, an index version, or a time.
    static var asOf: Form<AsOf> {
        Form(
            schema: .anyOf([
                .integer("An index version, as replies have it."),
                .string("The id of an answer.", pattern: "^ans_[0-9a-f]{32}$"),
                .time("The last index version that was written by then."),
            ]),
            json: { asOf in
                switch asOf {
                case .answer(let id): .string(id)
                case .version(let version): .integer(version)
                case .time(let time): .string(CivilTime.rfc3339(time))
                }
            },
            read: { value, reading in
                if case .integer(let version) = value, version >= 0 { return .version(version) }
                if let text = value.string {
                    if isAnswerID(text) { return .answer(text) }
                    if let time = CivilTime.epochMilliseconds(text) { return .time(time) }
                }
                reading.fault(
                    "as_of_parsing",
                    "must be the id of an answer (ans_…), an index version, or a time with zone as in RFC 3339",
                    input: value)
                return nil
            })
    }

    private static func isAnswerID(_ text: String) -> Bool {
        text.hasPrefix("ans_") && text.utf8.count == 36
            && text.utf8.dropFirst(4).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

extension SearchInput {
    /// The member `as_of`.
    static func asOfField<Root>(_ path: any WritableKeyPath<Root, AsOf?> & Sendable) -> Field<Root> {
        Field(
            "as_of", path, Form<AsOf>.asOf.optional,
            "Searches the index as it was: when an answer was given (its id), at an index version, or at a time, as far back as "
                + "INDEX_HISTORY_HOURS. All that was visible then is compared; what has been suppressed or erased since is not shown."
        )
    }

    /// What cannot be asked of the past.
    func checkAsOf(_ reading: inout InputReading) {
        guard asOf != nil else { return }
        if mode == .like || like != nil {
            reading.fault("as_of_like", "cannot be asked of what is like a document", at: [.name("as_of")])
        }
        if indexVersionMin != nil {
            reading.fault("as_of_waiting", "cannot be waited for: leave min_index_version out", at: [.name("as_of")])
        }
    }
}

extension Search {
    /// The moment that a request names, looked up in its caller's turn and within the request's time; nil for now.
    ///
    /// - Throws: ``EndpointError``: 404 for an answer that the tenant has not, 410 where the moment is not kept, 422 where it is to come.
    func moment(
        _ asOf: AsOf?, _ tenant: TenantID, _ request: HTTPRequest, deadline: Deadline
    ) async throws -> PastMoment? {
        guard let asOf else { return nil }
        if case .time(let time) = asOf, time > clock() { throw Self.isAhead("is still to come", asOf) }
        do {
            return try await turns.run(.search, request, deadline: deadline) {
                try await stores.run(deadline: deadline) { store, timeout in
                    try store.moment(asOf, tenant: tenant, timeoutMilliseconds: timeout)
                }
            }
        } catch let fault as MomentFault {
            switch fault {
            case .ahead: throw Self.isAhead("\(fault)", asOf)
            case .gone, .generationGone, .unrecorded: throw APIError(fault)
            case .unknownAnswer: throw APIError(status: 404, type: "not_found", message: "\(fault)")
            }
        }
    }

    private static func isAhead(_ message: String, _ asOf: AsOf) -> APIError {
        .invalid([
            InputFault(
                type: "as_of_ahead", location: [.name("body"), .name("as_of")], message: message,
                input: Form<AsOf>.asOf.json(asOf))
        ])
    }

    /// Both arms' candidates of a moment: all of them, or none where the time is not enough.
    func pastCandidates(for query: CandidateQuery, deadline: Deadline) async throws -> FoundCandidates {
        do {
            let found = try await filteredStores.run(deadline: deadline) { store, timeout in
                // Room for the reply itself.
                try store.candidates(for: query, timeoutMilliseconds: max(1, timeout * 9 / 10))
            }
            if !found.isGenerationServed, let past = query.past {
                throw APIError(MomentFault.generationGone(past.generation))
            }
            return FoundCandidates(set: found, isComplete: true)
        } catch is SearchBoundReached {
            throw APIError.timeout("looking at all that was visible then", milliseconds: deadline.limitMilliseconds)
        } catch let gone as IndexVersionGone {
            throw APIError(MomentFault.gone(gone))
        }
    }
}

extension EndpointError {
    /// A moment of which nothing can be read any more.
    fileprivate init(_ fault: MomentFault) {
        var type = "as_of_gone"
        if case .generationGone = fault { type = "generation_gone" }
        self.init(status: 410, type: type, message: "as_of: \(fault) (INDEX_HISTORY_HOURS)")
    }
}

extension JSONWriter {
    /// As of when a reply is; nothing for now.
    mutating func asOf(_ past: PastMoment?) {
        guard let past else { return }
        key("as_of")
        beginObject()
        integer("index_version", past.indexVersion)
        integer("generation", past.generation)
        key("time")
        time(past.timeMilliseconds)
        endObject()
    }
}
