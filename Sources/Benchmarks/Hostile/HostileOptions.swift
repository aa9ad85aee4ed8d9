import Console
import Settings

/// What `bench clients --hostile` and `--attack` were asked for.
struct HostileOptions: Sendable {
    /// What the platform under attack promises.
    enum Bounds {
        /// Ordinary searches, and lists of what came last, at the 99th percentile.
        static let milliseconds = 60.0
        /// Freshness at the 95th percentile, in times of its calm value.
        static let freshness = 1.5
        /// Peak resident memory over that of the calm phase, MiB: 64 for heads and bodies, 128 for replies that wait for their
        /// readers (docs/api.md, Limits), and 64 for connections, streams, and what is being worked on.
        static let memoryMegabytes = 256
        /// Documents a second that come to be searchable, as a share of the calm value: what is not indexed has no
        /// freshness that could be measured.
        static let indexed = 0.8
    }

    static let options: [ArgumentTable.Option] = [
        .init(name: "--hostile", value: nil, help: "clients: hostile ones at the platform, beside ordinary ones."),
        .init(
            name: "--attack", value: "NAMES",
            help: "clients: which attacks, with commas (default all). Without --hostile only they, at --port."),
        .init(name: "--port", value: "PORT", help: "clients --attack: where on 127.0.0.1 (and nowhere else)."),
        .init(name: "--platform", value: "FILE", help: "clients --hostile: another build of medallion to be attacked."),
        .init(name: "--each", value: nil, help: "clients --hostile: each attack alone, too, for 15 s."),
        .init(name: "--calm", value: "N", help: "clients --hostile: seconds of the calm phase (default 60)."),
        .init(name: "--fill", value: "N", help: "clients --hostile: documents indexed before (default 3000)."),
        .init(
            name: "--address-rate", value: "N",
            help: "clients --hostile: API_ADDRESS_RATE of the platform (default 200)."),
        .init(
            name: "--memory-bound", value: "MIB",
            help: "clients --hostile: memory that attacks may cost (default \(Bounds.memoryMegabytes))."),
    ]

    let isHostile: Bool
    /// Nil unless given.
    let attackNames: String?
    let attacks: [Attack]
    let port: UInt16?
    /// An executable; nil for this one.
    let platform: String?
    let attacksEach: Bool
    let seconds: Int
    let calmSeconds: Int
    let fill: Int
    let addressRate: Int
    let memoryMegabytes: Int
    let seed: UInt64

    init(_ arguments: ParsedArguments, seed: UInt64?) throws(UsageError) {
        isHostile = arguments.has("--hostile")
        attackNames = arguments.value("--attack")
        guard let attacks = AttackCatalogue.attacks(attackNames ?? "all") else {
            let names = AttackCatalogue.all.map(\.name).joined(separator: ", ")
            throw UsageError("--attack takes all, or of these with commas: \(names)")
        }
        self.attacks = attacks
        port = try arguments.integer("--port", in: 1...65_535).map { UInt16($0) }
        platform = arguments.value("--platform")
        attacksEach = arguments.has("--each")
        seconds = try arguments.integer("--seconds", in: 1...86_400) ?? 120
        calmSeconds = try arguments.integer("--calm", in: 1...86_400) ?? 60
        fill = try arguments.integer("--fill", in: 0...10_000_000) ?? 3_000
        addressRate = try arguments.integer("--address-rate", in: 0...1_000_000) ?? 200
        memoryMegabytes = try arguments.integer("--memory-bound", in: 1...1_000_000) ?? Bounds.memoryMegabytes
        self.seed = seed ?? 1
        if attackNames != nil, !isHostile, port == nil { throw UsageError("--attack needs --hostile, or a --port") }
        if port != nil, isHostile || attackNames == nil { throw UsageError("--port goes with --attack alone") }
        for name in ["--platform", "--calm", "--fill", "--address-rate", "--memory-bound"]
        where arguments.value(name) != nil && !isHostile {
            throw UsageError("\(name) goes with --hostile")
        }
        if attacksEach, !isHostile { throw UsageError("--each goes with --hostile") }
    }

    /// Only the attacks, at a server that is there.
    var isAttackAlone: Bool { attackNames != nil && !isHostile }
}
