import Bytes
import HTTPEndpoints
import HTTPServer
import Records

/// Where a client goes on: by the id that it came with, and when the logs change under it.
extension StreamClient {
    private static let aheadCheckNanoseconds: Int64 = 5_000_000_000

    /// Places the client behind what it saw last, in each log by itself.
    ///
    /// - Returns: what it is to be told where that cannot be.
    func resume(_ session: inout Session, _ id: StreamID) async throws -> [StreamReset] {
        guard let (vector, foreign) = session.logs.read(id) else {
            return [reset(.otherLog, session.logs.topics, wanted: id.text, session)]
        }
        let end = session.vector
        session.vector = vector
        for topic in foreign { session.vector.raise(to: end.only(topic)) }
        let places = try await placesAhead(&session)
        session.number = nil
        var resets: [StreamReset] = []
        if !foreign.isEmpty { resets.append(reset(.otherLog, foreign, wanted: id.text, session)) }
        if !places.isEmpty { resets.append(reset(places, wanted: id.text, session)) }
        return resets
    }

    /// Finds the topic partitions in which the client is beyond the log's end, and takes them back to what was given out.
    /// As long as nobody tells where a log ends, none of it is.
    private func placesAhead(_ session: inout Session) async throws -> [StreamReset.Place] {
        let given = state.given
        var places: [StreamReset.Place] = []
        if !given.covers(session.vector), let logs = try await hub.currentLogs() {
            let now = state.given
            for (place, wanted) in session.vector.entries {
                guard let log = logs[place.topic], log.epoch == session.logs[place.topic]?.epoch,
                    let ends = log.ends, wanted > ends[place.partition] ?? 0
                else { continue }
                let end = ends[place.partition]
                places.append(StreamReset.Place(topicPartition: place, wanted: wanted, end: end))
                if end == nil { session.vector.remove(place) } else { session.vector[place] = now[place] }
            }
        }
        session.vector = session.vector.limited(by: given)
        return places
    }

    /// Looks again whether a client that waits for what it has seen elsewhere waits for nothing.
    func checkAhead(_ session: inout Session) async throws {
        let now = SystemClock.monotonicNanoseconds()
        guard now - session.aheadCheckedAt >= Self.aheadCheckNanoseconds else { return }
        session.aheadCheckedAt = now
        let wanted = session.logs.text(session.vector)
        let places = try await placesAhead(&session)
        guard !places.isEmpty else { return }
        session.number = nil
        session.isIDKnown = false
        tell(reset(places, wanted: wanted, session))
    }

    /// Logs are other ones than before, or there are other sources.
    func moveOn(_ session: inout Session) -> Bool {
        guard let (place, lost) = state.moved(from: session.logs, era: session.era, vector: session.vector) else {
            return false
        }
        let wanted = session.logs.text(session.vector)
        var fresh = Session(at: place)
        (fresh.step, fresh.heartbeatAt, fresh.lookedAt) = (session.step, session.heartbeatAt, session.lookedAt)
        fresh.aheadCheckedAt = session.aheadCheckedAt
        session = fresh
        for (reason, topics) in lost.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            tell(reset(reason, topics, wanted: wanted, session))
        }
        return true
    }

    private func reset(_ places: [StreamReset.Place], wanted: String, _ session: Session) -> StreamReset {
        var topics: [String] = []
        for place in places where place.topicPartition.topic != topics.last {
            topics.append(place.topicPartition.topic)
        }
        return reset(.ahead, topics, wanted: wanted, session, places)
    }

    private func reset(
        _ reason: StreamReset.Reason, _ topics: [String], wanted: String, _ session: Session,
        _ places: [StreamReset.Place] = []
    ) -> StreamReset {
        var beginning = session.vector
        beginning.raise(to: state.given)
        for (place, _) in beginning.entries {
            beginning[place] = topics.contains(place.topic) ? 0 : session.vector[place]
        }
        return StreamReset(
            reason: reason, topics: topics, wanted: wanted, partitions: places,
            continues: session.logs.text(session.vector), oldest: session.logs.text(beginning))
    }

    func tell(_ reset: StreamReset) {
        hub.count(reset.reason.rawValue)
        writer.offer(StreamNotice.reset(reset).frame)
    }
}
