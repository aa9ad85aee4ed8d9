import Bytes
import Console
import Settings
import Simulator

/// `medallion simulate`: a server that speaks what stream.wikimedia.org speaks.
struct SimulateCommand: Command {
    static let name = "simulate"
    static let summary = "Serves a recording or invented events as stream.wikimedia.org would."
    static let table = ArgumentTable(options: [
        .init(name: "--listen", value: "HOST:PORT", help: "Where to listen (default 127.0.0.1:8090)."),
        .init(
            name: "--recording", value: "FILE", help: "Play .sse or .jsonl, either with .zst; else events are invented."
        ),
        .init(
            name: "--streams", value: "LIST",
            help:
                "Streams to serve, of recentchange, page-create and revision-create; --recording is of the first, others are "
                + "invented (default: all three, with --recording recentchange)."
        ),
        .init(name: "--loop", value: nil, help: "Start the recording over at its end, with fresh ids."),
        .init(name: "--seed", value: "N", help: "Seed of invented events (default: random)."),
        .init(name: "--speed", value: "N", help: "N times the pace of the recording (default 1)."),
        .init(name: "--rate", value: "N", help: "N events a second (invented events: default 50)."),
        .init(name: "--full-speed", value: nil, help: "As fast as clients read."),
        .init(name: "--require-user-agent", value: nil, help: "403 without a descriptive User-Agent."),
        .init(
            name: "--time-ids", value: nil,
            help: "Ids hold times in place of offsets, as those of stream.wikimedia.org do: a resume repeats events."),
        .init(name: "--close-at-end", value: nil, help: "Close the connection after the recording's last event."),
        .init(name: "--close-after", value: "SECONDS", help: "Close every connection after so long."),
        .init(
            name: "--bad-manners", value: "SEED",
            help:
                "Refuse, cut, drip, repeat and break lines oddly, in an order that the seed fixes; 0 for a random one."),
    ])
    static let details = """
        With --bad-manners connections live for 5 seconds at most, or for what --close-after says. One after the other refuses
        (503, 500, 429 with Retry-After, a page in place of a stream), ends at once, cuts or resets within an event, drips,
        ends lines with CR or CRLF, begins with a byte order mark; and what was sent before comes again on a resume.

        GET \(Simulator.path) is the stream; POST /inject puts an event into it and tells when it was written.
        GET \(SimulatedStream.pageCreate.path) and \(SimulatedStream.revisionCreate.path) are further ones.
        """

    private let listen: SettingAddress
    private let recording: String?
    private let streams: [SimulatedStream]
    private let loops: Bool
    private let seed: UInt64?
    private let pace: Pace
    private let arguments: ParsedArguments
    private let closesAfter: Int?
    private let manners: BadManners?

    init(_ arguments: ParsedArguments) throws {
        let text = arguments.value("--listen") ?? "127.0.0.1:8090"
        guard let listen = SettingAddress(text) else { throw UsageError("--listen \(text): not HOST:PORT") }
        self.listen = listen
        recording = arguments.value("--recording")
        loops = arguments.has("--loop")
        seed = try arguments.integer("--seed", in: 0...Int.max).map { UInt64($0) }
        if loops && recording == nil { throw UsageError("--loop needs --recording") }
        streams = try Self.streams(arguments.value("--streams"), hasRecording: recording != nil)
        if seed != nil && recording != nil && streams.count == 1 {
            throw UsageError("--seed is for invented events, not for --recording")
        }
        let rate = try arguments.number("--rate", in: 0.01...10_000_000)
        let speed = try arguments.number("--speed", in: 0.001...1_000_000)
        let isFull = arguments.has("--full-speed")
        guard [rate != nil, speed != nil, isFull].filter({ $0 }).count <= 1 else {
            throw UsageError("only one of --rate, --speed, --full-speed")
        }
        pace =
            if isFull {
                .unlimited
            } else if let rate {
                .fixed(rate)
            } else if let speed {
                .original(multiplier: speed)
            } else {
                recording == nil ? .fixed(50) : .original(multiplier: 1)
            }
        closesAfter = try arguments.integer("--close-after", in: 1...86_400)
        manners = try arguments.integer("--bad-manners", in: 0...Int.max).map { seed in
            BadManners(seed: seed == 0 ? UInt64.random(in: 1...UInt64(Int64.max)) : UInt64(seed))
        }
        self.arguments = arguments
    }

    private static func streams(_ list: String?, hasRecording: Bool) throws -> [SimulatedStream] {
        guard let list else { return hasRecording ? [.recentChange] : SimulatedStream.allCases }
        let words = list.split(separator: ",", omittingEmptySubsequences: false)
        let streams = try words.map { word in
            guard let stream = SimulatedStream(rawValue: String(word)) else {
                let known = SimulatedStream.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--streams \(list): \(word) is none of \(known)")
            }
            return stream
        }
        guard Set(streams).count == streams.count else { throw UsageError("--streams \(list): names one twice") }
        return streams
    }

    /// The recording is of the first stream; the others are invented.
    private func sources() throws -> [SimulatedStream: any PlayableSource] {
        let seed = seed ?? UInt64.random(in: 0...UInt64(Int64.max))
        let rate = if case .fixed(let rate) = pace { rate } else { 50.0 }
        var sources: [SimulatedStream: any PlayableSource] = [:]
        for stream in streams {
            sources[stream] = GeneratedSource(
                generator: EventGenerator(
                    seed: seed, startMilliseconds: SystemClock.epochMilliseconds(), eventsPerSecond: rate,
                    stream: stream))
        }
        if let recording, let first = streams.first {
            sources[first] = try Recording(path: recording, repeats: loops)
        }
        return sources
    }

    func run(_ context: Context) async throws {
        var configuration = SimulatorConfiguration(host: listen.host, port: listen.port, pace: pace)
        configuration.requiresUserAgent = arguments.has("--require-user-agent")
        configuration.givesTimes = arguments.has("--time-ids")
        configuration.closesAtEnd = arguments.has("--close-at-end")
        if var manners {
            if let closesAfter { manners.lifeMilliseconds = closesAfter * 1_000 }
            configuration.badManners = manners
            context.logger.scoped("simulator").info("misbehaving on purpose", ["seed": String(manners.seed)])
        } else {
            configuration.closesAfterSeconds = closesAfter
        }
        let simulator = Simulator(
            configuration: configuration, sources: try sources(), metrics: context.metrics,
            logger: context.logger.scoped("simulator"))
        try await context.run([simulator])
    }
}
