import Bytes
import Console
import KafkaAccess
import Records
import Settings
import Telemetry

/// Looks whether operators have a source stand still, before `medallion ingest` sends anything to it.
struct IngestPause {
    private let context: Context

    /// How long the broker may be away.
    private static let patienceSeconds: Int64 = 60

    init(_ context: Context) { self.context = context }

    /// - Throws: ``Failure`` (69) where the source is paused, or where that cannot be known.
    func check(_ source: SourceName) async throws {
        guard let pause = try await wishes(of: source)?.pause else { return }
        let reason = pause.reason.isEmpty ? "" : ": \(LogText.escaped(pause.reason))"
        throw Failure(
            "\(source) was paused by \(LogText.escaped(pause.by)) on \(CivilTime.rfc3339(pause.atMilliseconds))\(reason); nothing was "
                + "sent. `medallion sources resume \(source)` has it take documents again", code: .dependencyUnavailable
        )
    }

    private func wishes(of source: SourceName) async throws -> SourceWishes? {
        do {
            let reading = SourceRequestReading(context: context, patienceSeconds: Self.patienceSeconds)
            return try await reading.board().wishes(of: source.text)
        } catch let fault as SourceRequestReading.Fault {
            throw Failure(
                "the broker could not be asked for \(Self.patienceSeconds) s whether \(source) is paused: "
                    + "\(LogText.escaped(fault.words)); nothing was sent", code: .dependencyUnavailable)
        }
    }
}
