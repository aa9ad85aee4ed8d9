/// A stream of stream.wikimedia.org that is simulated, by the word that its address ends with.
package enum SimulatedStream: String, CaseIterable, Sendable {
    case recentChange = "recentchange"
    case pageCreate = "page-create"
    case revisionCreate = "revision-create"

    /// Where the simulator serves it.
    package var path: String { "/v2/stream/\(rawValue)" }
    /// As its events and their positions name it; a data centre's name stands before a topic's.
    var name: String { "mediawiki.\(rawValue)" }

    /// So that streams of one seed differ; nothing for recent changes, which were there first.
    var salt: UInt64 {
        switch self {
        case .recentChange: 0
        case .pageCreate: 0x9A6E_C4EA_7E00_0001
        case .revisionCreate: 0x4E71_510C_4EA7_0002
        }
    }
}
