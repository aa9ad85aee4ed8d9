package import Bytes
import JSONScan
package import Kafka
package import Lake
package import Postgres
package import Records
package import Retrieval
import Store

/// Follows a document or an answer from the index through Gold and Silver to Bronze, reading every line from its file. Without
/// the lake's folder the event comes from the broker or the object storage, and its lines are derived anew.
package final class LakeTraceSource: TraceSource {
    private let store: SearchStore
    private let layout: LakeLayout
    private let events: DistantEvents

    /// - Parameters:
    ///   - configuration: of the index's database.
    ///   - layout: of the lake.
    ///   - broker: where records may be read by offset; nil where none is to be asked. Called when one is needed.
    ///   - declared: the logic of the declared sources, which stands in where the lake's list of generations cannot be had.
    package init(
        configuration: PostgresConfiguration, layout: LakeLayout,
        broker: (@Sendable () -> KafkaConfiguration)? = nil,
        declared: @escaping @Sendable () -> GenerationLogic? = { nil }
    ) {
        store = SearchStore(configuration: configuration)
        self.layout = layout
        events = DistantEvents(broker: broker.map { BrokerEvents($0) }, objects: layout.objects, declared: declared)
    }

    /// See ``TraceSource/interruption``.
    package var interruption: Interruption? { store.interruption }

    /// A tenth is left to say what was found.
    private func walk(_ reach: TraceReach, _ timeoutMilliseconds: Int) -> LineageWalk {
        let limit = Int64(timeoutMilliseconds) * 9 / 10
        return LineageWalk(
            layout: layout, reach: reach, events: events,
            untilNanoseconds: SystemClock.monotonicNanoseconds() + limit * 1_000_000)
    }

    /// See ``TraceSource/trace(docID:collection:tenant:generation:reach:timeoutMilliseconds:)``. What cannot be found, or not
    /// in time, becomes a problem of the trace.
    package func trace(
        docID: String, collection: String?, tenant: TenantID, generation: Int64?, reach: TraceReach,
        timeoutMilliseconds: Int
    ) throws -> Trace? {
        var walk = walk(reach, timeoutMilliseconds)
        let rows = try store.document(
            id: docID, collection: collection, tenant: tenant, generation: generation,
            timeoutMilliseconds: timeoutMilliseconds)
        guard let first = rows.first else { return nil }
        let collections = Set(rows.map(\.collection))
        guard collections.count == 1 else { throw AmbiguousDocument(collections: collections.sorted()) }
        var trace = Trace(
            docID: docID, collection: first.collection, version: first.version, generation: first.generation,
            indexVersion: first.indexVersion,
            logicVersion: first.logicVersion, qualityFlags: [], rules: [],
            passages: rows.map { row in
                TracePassage(
                    passage: row.passage, text: row.text, textHash: row.textHash,
                    model: row.hasVector ? row.model : nil, fromVersion: row.fromVersion)
            },
            gold: nil, silver: nil, bronze: [], problems: [])
        (trace.title, trace.url, trace.contentHash) = (first.title, first.url, first.contentHash)
        trace.times.set(first.times)
        trace.answers = try store.answers(
            of: docID, collection: first.collection, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds
        ).map { TraceAnswer(id: $0.id, createdAtMilliseconds: $0.createdAtMilliseconds, isCited: $0.isCited) }
        let parents = Self.parents(of: first.lineageJSON, &trace)
        walk.follow(
            from: TopicPartition(topic: first.sourceTopic, partition: first.sourcePartition),
            offset: first.sourceOffset, parents, &trace)
        return trace
    }

    /// See ``TraceSource/trace(answerID:tenant:reach:timeoutMilliseconds:)``.
    package func trace(
        answerID: String, tenant: TenantID, reach: TraceReach, timeoutMilliseconds: Int
    ) throws -> AnswerTrace? {
        var walk = walk(reach, timeoutMilliseconds)
        guard let given = try store.givenAnswer(id: answerID, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds)
        else { return nil }
        let sources = try store.sources(ofAnswer: answerID, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds)
        return AnswerWalk(given: given, sources: sources).trace(&walk)
    }

    /// See ``TraceSource/impact(of:tenant:limit:showsSuppressed:timeoutMilliseconds:)``.
    package func impact(
        of target: ImpactTarget, tenant: TenantID, limit: Int, showsSuppressed: Bool, timeoutMilliseconds: Int
    ) throws -> Impact {
        try store.impact(
            of: target, tenant: tenant, limit: limit, showsSuppressed: showsSuppressed,
            timeoutMilliseconds: timeoutMilliseconds)
    }

    private static func parents(of lineageJSON: [UInt8], _ trace: inout Trace) -> [ParentReference] {
        do throws(RecordFormatError) {
            return try Lineage(json: lineageJSON).parents
        } catch {
            trace.problems.append("the lineage that the index holds cannot be read: \(error)")
            return []
        }
    }
}

extension TraceTimes {
    /// Takes over what the index knows.
    mutating func set(_ known: IndexedTimes) {
        if let event = known.eventMilliseconds { self[.event] = event }
        (self[.embedded], self[.indexed]) = (known.embeddedMilliseconds, known.indexedMilliseconds)
        self[.searchable] = known.searchableMilliseconds
    }
}
