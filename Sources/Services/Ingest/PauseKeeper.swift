import Bytes
import Files
import Records
import Synchronization
import Telemetry

/// Keeps the pause of a source beside its connector's state, for the case that the topic of requests is lost or emptied: a source that
/// somebody had stand still must not run because of that.
final class PauseKeeper: Sendable {
    private struct State {
        var isRead = false
        var kept: SourceRequest?
        var isSaid = false
        var fault = ""
    }

    private let path: String
    private let logger: Logger
    private let state = Mutex(State())

    private static let bytesMax = 1 << 16

    /// - Parameter path: of the file, which is there while the source is paused.
    init(path: String, logger: Logger) {
        self.path = path
        self.logger = logger
    }

    /// What is asked of the source, with the pause that the topic does not know any more.
    func heed(_ wishes: SourceWishes?) -> SourceWishes? {
        guard var wishes else { return nil }
        return state.withLock { state in
            do {
                if !state.isRead {
                    state.kept = try read()
                    state.isRead = true
                }
                if let pause = wishes.pause {
                    if state.kept != pause { try write(pause) }
                    state.kept = pause
                } else if wishes.wasResumed {
                    if state.kept != nil { try Folder.removeIfPresent(path) }
                    (state.kept, state.isSaid) = (nil, false)
                }
                state.fault = ""
            } catch {
                let fault = "\(error)"
                if fault != state.fault {
                    logger.error("the pause of the source cannot be kept", ["file": path, "error": fault])
                }
                state.fault = fault
            }
            guard wishes.pause == nil, !wishes.wasResumed, let kept = state.kept else { return wishes }
            if !state.isSaid {
                logger.error(
                    "the topic of requests has lost the source's pause; it stays paused until it is resumed",
                    ["by": kept.by, "reason": kept.reason])
            }
            state.isSaid = true
            wishes.take(kept)
            // It was told when it came.
            wishes.take(
                SourceOutcome(
                    request: kept.id, source: kept.source, state: .taken, reason: "kept beside the connector's state",
                    atMilliseconds: kept.atMilliseconds))
            return wishes
        }
    }

    private func read() throws -> SourceRequest? {
        guard Folder.exists(path) else { return nil }
        return try File.contents(of: path, bytesMax: Self.bytesMax).withUnsafeBytes { try SourceRequest($0) }
    }

    private func write(_ pause: SourceRequest) throws {
        try Folder.create(Folder.parent(of: path))
        try File.replace(path, with: pause.json)
    }
}
