import Concurrency
import Console
import HTTPClient
import Telemetry

/// An API that is asked many things in a row: where it is busy, or counts requests, it is asked again when it says.
struct PatientAPI: Sendable {
    private let client: APIClient
    /// For all of it.
    private let secondsMax: Int
    /// What is asked, in words.
    private let asked: String
    private let deadline: Deadline

    /// A server that is busy is asked again so often.
    private static let triesMax = 6
    private static let pauseMillisecondsMax = 10_000

    /// - Parameter asked: what is asked, such as `all 20 queries`.
    init(client: APIClient, secondsMax: Int, asked: String) {
        self.client = client
        self.secondsMax = secondsMax
        self.asked = asked
        deadline = Deadline(milliseconds: secondsMax * 1_000)
    }

    /// Where it is.
    var base: String { client.base }

    /// The reply, whatever its status.
    ///
    /// - Throws: ``Failure`` where nobody answers, or the time is over.
    func response(_ request: HTTPClientRequest, on lane: Lane) async throws -> HTTPClientResponse {
        for attempt in 1... {
            try Task.checkCancellation()
            let left = deadline.leftMilliseconds
            guard left > 0 else {
                throw Failure(
                    "\(base) did not answer \(asked) in \(secondsMax) s (--seconds)", code: .dependencyUnavailable)
            }
            let response = try await lane.run { [client] in try client.response(request, millisecondsMax: left) }
            guard [429, 503].contains(response.status), attempt < Self.triesMax,
                let seconds = response.headers.retryAfterSeconds
            else { return response }
            try await Task.sleep(
                for: .milliseconds(min(max(Int(seconds) * 1_000, 100), Self.pauseMillisecondsMax, left)))
        }
        preconditionFailure("an endless loop has no end")
    }
}
