import Bytes
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Retrieval
import Synchronization

/// What `GET /stream` reads.
struct StreamInput: Sendable {
    var feed = FeedInput()
    /// `is_bot` by its former name.
    var formerIsBot: Bool?
    var stages: [StreamStage] = []
    var lastEventID: StreamID?
    /// The same in the query, for clients that cannot send headers with their first request.
    var firstEventID: StreamID?

    static let form = InputForm(
        StreamInput(),
        FeedInput.parameters(
            wikis: \.feed.wikis, languages: \.feed.languages, types: \.feed.types, namespaces: \.feed.namespaces,
            isBot: \.feed.isBot, collection: \.feed.collection, text: \.feed.text, filter: \.feed.filter)
            + [
                Parameter(
                    .query, "bot", \.formerIsBot, Form<Bool>.bool.optional, "The former name of `is_bot`."),
                Parameter(
                    .query, "stages", \.stages,
                    Form<[StreamStage]>.list(of: .choice, countMax: StreamStage.allCases.count),
                    "Steps of events on their way that are told, too, each as an event of that name; with commas."),
                Parameter(
                    .query, "last_event_id", \.firstEventID, StreamID.form.optional,
                    "The same as the header, which is stronger."),
                Parameter(
                    .header, "Last-Event-ID", \.lastEventID, StreamID.form.optional,
                    "The id of the last event that was seen; the stream goes on behind it."),
            ])

    /// - Parameter declared: what the attributes of tests are.
    /// - Throws: 422 where both names of a filter are given and differ, or all filters together are too much.
    func filter(_ declared: DeclaredAttributes) throws(EndpointError) -> FeedFilter {
        if let formerIsBot, let isBot = feed.isBot, isBot != formerIsBot {
            throw .invalid([
                InputFault(
                    type: "value_error", location: [.name("query"), .name("bot")],
                    message: "is the former name of is_bot, and differs from it", input: .bool(formerIsBot))
            ])
        }
        return try feed.checked(declared, formerIsBot: formerIsBot)
    }
}

/// `GET /stream`: events of the caller's tenant as they become searchable.
struct Stream: Sendable {
    let scope: TenantScope
    /// Nil where this process does not follow the Gold topics.
    let hub: EventHub?
    /// Clients at once.
    let clientsMax: Int
    let seats: StreamSeats
    let catchUpPace: CatchUpPace
    let access: AccessGuard

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.stream,
            stream: { input, request, _, writer in try await serve(input, request, to: writer) })
    }

    /// `GET /stream`
    func serve(_ input: StreamInput, _ request: HTTPRequest, to writer: HTTPStreamWriter) async throws {
        guard let hub else {
            throw APIError.unavailable("the stream", "this process does not follow the Gold topic")
        }
        let declared = try scope.declared(for: request)
        let filter = try input.filter(declared)
        // A stream has no end: without a bound they could hold every connection.
        let open = seats.open.wrappingAdd(1, ordering: .relaxed).newValue
        defer { seats.open.wrappingSubtract(1, ordering: .relaxed) }
        guard open <= clientsMax else {
            throw APIError.unavailable("the stream", "it has \(clientsMax) clients, as many as may be")
        }
        let caller = self.access.origin(of: request)
        let counted = access.countsStreams(request) ? caller : nil
        if let counted {
            guard seats.take(counted) else { throw Self.tooManyStreams(counted, seats.limit(of: counted)) }
        }
        defer { if let counted { seats.leave(counted) } }
        let tenant = declared.tenant
        let events = hub.events(of: tenant)
        try await events.serve(
            filter, after: input.lastEventID ?? input.firstEventID, stages: Set(input.stages),
            for: caller, pace: counted == nil ? nil : catchUpPace, to: writer
        ) { [access] in
            // A tenant that gets its first source gets a stream of its own.
            access.isWelcome(request, as: tenant) && hub.events(of: tenant) === events
        }
    }

    private static func tooManyStreams(_ caller: StreamSeats.Caller, _ limit: Int) -> APIError {
        var (whose, setting) = ("this address", "API_STREAMS_PER_ADDRESS")
        if case .key = caller { (whose, setting) = ("this key", "API_STREAMS_PER_KEY") }
        return APIError(
            status: 429, type: "too_many_streams",
            message: "\(whose) has \(limit) streams open, as many as it may (\(setting)); close one first",
            headers: ["Retry-After": "5"])
    }
}
