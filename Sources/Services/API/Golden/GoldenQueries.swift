import Access
import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
package import Records
import Retrieval
package import Store
import Telemetry

/// Where golden queries are kept; the executable hands the store over, on a lane of its own.
package protocol GoldenShelf: Sendable {
    /// Those of a tenant, by name.
    func list(_ tenant: TenantID) async throws -> [GoldenQuery]
    /// Keeps one; false where there are as many as may be.
    func put(_ query: GoldenQuery, of tenant: TenantID) async throws -> Bool
    /// False where there is none of that name.
    func remove(_ name: String, of tenant: TenantID) async throws -> Bool
}

/// `/golden`: queries whose hits and answers are compared between the generation that is served and one that may be.
struct GoldenQueries: Sendable {
    /// Nil in a process that keeps none.
    let shelf: (any GoldenShelf)?
    let scope: TenantScope
    let search: Search
    let answers: Answers
    let access: AccessGuard
    let turns: RequestTurns
    let faults: FaultReplies
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.golden, async: { _, request in .fresh(try await list(request)) })
        set.add(Contract.putGolden, async: { input, request in .fresh(try await put(input, request)) })
        set.add(Contract.removeGolden, async: { input, request in .fresh(try await remove(input.name, request)) })
        set.add(Contract.compareGolden, async: { input, request in try await compare(input, request) })
    }

    private func kept() throws -> any GoldenShelf {
        guard let shelf else { throw APIError.unavailable("the golden queries", "this process keeps none") }
        return shelf
    }

    private func list(_ request: HTTPRequest) async throws -> [UInt8] {
        let queries = try await kept().list(access.tenant(of: request))
        var writer = JSONWriter(capacity: 200 * (queries.count + 1))
        writer.beginObject()
        writer.key("golden")
        writer.beginArray()
        for query in queries { writer.golden(query) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private func put(_ input: GoldenInput, _ request: HTTPRequest) async throws -> [UInt8] {
        let query = input.golden
        // What cannot be asked now is no use later.
        _ = try asked(query, scope.declared(for: request))
        guard try await kept().put(query, of: access.tenant(of: request)) else {
            throw APIError(
                status: 409, type: "enough_golden",
                message: "there are \(GoldenQuery.countMax) golden queries, as many as may be; remove one first")
        }
        logger.info(
            "a golden query is kept", ["name": query.name, "key": access.names(request.headers).key ?? ""])
        var writer = JSONWriter()
        writer.golden(query)
        return writer.bytes
    }

    private func remove(_ name: String, _ request: HTTPRequest) async throws -> [UInt8] {
        guard try await kept().remove(name, of: access.tenant(of: request)) else {
            throw APIError(status: 404, type: "not_found", message: "there is no golden query of this name")
        }
        logger.info("a golden query is removed", ["name": name, "key": access.names(request.headers).key ?? ""])
        var writer = JSONWriter()
        writer.beginObject()
        writer.string("name", name)
        writer.endObject()
        return writer.bytes
    }

    // MARK: - Comparing

    /// `POST /generations/{generation}/golden`: asks each in the served generation and in another one. Nothing comes from caches,
    /// and no answer is kept.
    private func compare(_ input: GenerationInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let declared = try scope.declared(for: request)
        let queries = try await kept().list(declared.tenant)
        let generation = Int64(input.generation)
        return try await turns.run(.filtered, request) { deadline in
            var writer = JSONWriter(capacity: 4_096)
            writer.beginObject()
            writer.integer("generation", generation)
            writer.key("queries")
            writer.beginArray()
            var (changed, count) = (0, 0)
            for query in queries {
                guard !deadline.hasPassed else { break }
                do {
                    let difference = try await difference(of: query, generation, declared, deadline)
                    writer.difference(difference, of: query)
                    if difference.isChanged { changed += 1 }
                } catch let error as CancellationError {
                    throw error
                } catch let error as APIError where error.type == Self.generationFault {
                    // No other query fares better.
                    throw error
                } catch {
                    guard !deadline.hasPassed else { break }
                    let told = faults.told(error, "/generations/{generation}/golden", request)
                    writer.difference(GoldenDifference([], []), of: query, error: told.message)
                }
                count += 1
            }
            writer.endArray()
            writer.integer("changed", changed)
            // Where there was no time for all.
            writer.integer("left_out", queries.count - count)
            writer.endObject()
            return .fresh(writer.bytes)
        }
    }

    /// See ``APIError/notServed(candidate:)``.
    private static let generationFault = "generation_state"

    private func difference(
        of query: GoldenQuery, _ generation: Int64, _ declared: DeclaredAttributes, _ deadline: Deadline
    ) async throws -> GoldenDifference {
        let (asked, answer) = try asked(query, declared)
        var other = asked
        other.generation = generation
        let limit = answer == nil ? asked.topK : nil
        let before = try await search.find(asked, documentLimit: limit, deadline: deadline)
        let after = try await search.find(other, documentLimit: limit, deadline: deadline)
        guard let answer else { return GoldenDifference(Self.hits(before, asked), Self.hits(after, asked)) }
        var difference = GoldenDifference(Self.hits(before, asked), Self.hits(after, asked))
        difference.before = try await answers.tried(answer, before, deadline: deadline)
        difference.after = try await answers.tried(answer, after, deadline: deadline)
        return difference
    }

    /// - Throws: 422 where it asks of a moment or a page: what is compared is what is now, from the first hit on.
    private static func checkMoment(_ input: SearchInput) throws(APIError) {
        let wrong = [
            ("as_of", input.asOf != nil), ("cursor", input.cursor != nil),
            ("min_index_version", input.indexVersionMin != nil),
        ].filter(\.1)
        guard wrong.isEmpty else {
            throw .invalid(
                wrong.map { name, _ in
                    InputFault(
                        type: "golden_moment", location: [.name("body"), .name("options"), .name(name)],
                        message: "is not for golden queries, which are asked now and from the first hit on")
                })
        }
    }

    private static func hits(_ result: SearchResult, _ request: SearchRequest) -> [GoldenDifference.Hit] {
        var seen: Set<String> = []
        var hits: [GoldenDifference.Hit] = []
        for hit in result.ranking where hits.count < request.topK {
            let candidate = hit.candidate
            guard seen.insert("\(candidate.collection)/\(candidate.docID)").inserted else { continue }
            hits.append(
                .init(
                    collection: candidate.collection, docID: candidate.docID, title: candidate.title,
                    text: candidate.text))
        }
        return hits
    }

    /// What a golden query asks, checked as a request is; the second for an answer.
    private func asked(
        _ query: GoldenQuery, _ declared: DeclaredAttributes
    ) throws -> (search: SearchRequest, answer: AnswerRequest?) {
        var members = (try? JSONValue.parse(query.optionsJSON))?.object ?? []
        members.removeAll { $0.key == "query" }
        members.append((key: "query", value: .string(query.query)))
        let body = JSONValue.object(members)
        var reading = InputReading()
        let now = search.clock()
        switch query.kind {
        case .search:
            let input = SearchInput.form.read(body, &reading)
            guard let input, reading.faults.isEmpty else { throw APIError.invalid(reading.faults) }
            try Self.checkMoment(input)
            return (try input.checked(declared, nowMilliseconds: now), nil)
        case .answer:
            let input = AnswerInput.form.read(body, &reading)
            guard let input, reading.faults.isEmpty else { throw APIError.invalid(reading.faults) }
            try Self.checkMoment(input.search)
            let answer = try input.checked(declared, nowMilliseconds: now)
            return (answer.search, answer)
        }
    }
}
