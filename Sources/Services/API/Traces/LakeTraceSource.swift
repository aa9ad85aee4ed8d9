package import Bytes
import Hashing
package import Lake
package import Postgres
package import Records
import Store

/// Follows a document from the index through Gold and Silver to Bronze, reading every line from its file.
package final class LakeTraceSource: TraceSource {
    private let store: SearchStore
    private let layout: LakeLayout
    /// Of the call that runs now, whose time limit it knows.
    private var reader: LakeReader

    /// - Parameters:
    ///   - configuration: of the index's database.
    ///   - layout: of the lake.
    package init(configuration: PostgresConfiguration, layout: LakeLayout) {
        store = SearchStore(configuration: configuration)
        self.layout = layout
        reader = LakeReader(layout: layout)
    }

    /// See ``TraceSource/interruption``.
    package var interruption: Interruption? { store.interruption }

    /// See ``TraceSource/trace(docID:collection:tenant:generation:timeoutMilliseconds:)``. What cannot be found, or not in time, becomes a
    /// problem of the trace.
    package func trace(
        docID: String, collection: String?, tenant: TenantID, generation: Int64?, timeoutMilliseconds: Int
    ) throws -> Trace? {
        // A tenth is left to say what was found.
        let limit = Int64(timeoutMilliseconds) * 9 / 10
        reader = LakeReader(
            layout: layout, untilNanoseconds: SystemClock.monotonicNanoseconds() + limit * 1_000_000)
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
        trace.answers = try store.answers(
            of: docID, collection: first.collection, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds
        ).map { TraceAnswer(id: $0.id, createdAtMilliseconds: $0.createdAtMilliseconds, isCited: $0.isCited) }
        let source = TopicPartition(topic: first.sourceTopic, partition: first.sourcePartition)
        trace.gold = derived(.gold, first, source, &trace)
        trace.silver = derived(.silver, first, source, &trace)
        if let gold = trace.gold { check(gold, against: first, &trace) }
        for parent in parents(of: first, &trace) {
            do throws(LakeError) {
                trace.bronze.append(try bronze(parent))
            } catch {
                trace.problems.append(
                    "the Bronze line of \(parent.topic)[\(parent.partition)] offset \(parent.offset) cannot be read")
                trace.causes.append("\(error)")
            }
        }
        for bronze in trace.bronze where !bronze.isHashRight {
            trace.problems.append(
                "the bytes of \(bronze.topic)[\(bronze.partition)] offset \(bronze.offset) have another SHA-256 than "
                    + "the document's lineage says")
        }
        return trace
    }

    private func derived(
        _ layer: Layer, _ row: TraceRow, _ source: TopicPartition, _ trace: inout Trace
    ) -> TraceLine? {
        do throws(LakeError) {
            if let found = try reader.derived(
                layer, generation: row.generation, source: source, offset: row.sourceOffset)
            {
                return TraceLine(line: found.line, location: location(found))
            }
            trace.problems.append(
                "generation \(row.generation) has no \(layer.rawValue) line of \(source) offset \(row.sourceOffset)")
        } catch {
            trace.problems.append(
                "the \(layer.rawValue) line of \(source) offset \(row.sourceOffset) in generation \(row.generation) cannot "
                    + "be read")
            trace.causes.append("\(error)")
        }
        return nil
    }

    /// Takes over what the Gold line says, and notices when the index was made from other content.
    private func check(_ gold: TraceLine, against row: TraceRow, _ trace: inout Trace) {
        let read = gold.line.withUnsafeBytes { bytes in
            (try? GoldLine.Fields(bytes)).map { (flags: (try? $0.qualityFlags()) ?? [], hash: $0[.contentHash].string) }
        }
        guard let read else {
            trace.problems.append("the Gold line in \(gold.location.file) is no JSON")
            return
        }
        trace.qualityFlags = read.flags
        trace.rules = trace.qualityFlags.map { "\($0)@\(row.logicVersion)" }
        if read.hash != row.contentHash {
            trace.problems.append("the index holds content \(row.contentHash), the Gold line says another content_hash")
        }
    }

    private func parents(of row: TraceRow, _ trace: inout Trace) -> [ParentReference] {
        do throws(RecordFormatError) {
            return try Lineage(json: row.lineageJSON).parents
        } catch {
            trace.problems.append("the lineage that the index holds cannot be read: \(error)")
            return []
        }
    }

    private func bronze(_ parent: ParentReference) throws(LakeError) -> TraceBronze {
        let found = try reader.bronze(parent.topicPartition, offset: parent.offset)
        let read = found.line.withUnsafeBytes { bytes in
            BronzeLine.Fields(bytes).flatMap { fields in fields.record.map { (record: $0, headers: fields.headers) } }
        }
        guard let (record, headers) = read else {
            throw .damaged(path: found.path, reason: "the Bronze line of offset \(parent.offset) cannot be read")
        }
        var digest = ""
        if let value = record.value, var hasher = try? SHA256Hasher() {
            digest = (try? value.withUnsafeBytes { try hasher.hash($0).hex }) ?? ""
        }
        return TraceBronze(
            topic: parent.topic, partition: parent.partition, offset: parent.offset,
            timestampMilliseconds: record.timestampMilliseconds, key: record.key, headers: headers,
            value: record.value, sha256: digest, lineageSHA256: parent.bronzeSHA256, location: location(found))
    }

    private func location(_ found: LocatedLine) -> LakeLocation {
        let root = reader.layout.root + "/"
        return LakeLocation(
            file: found.path.hasPrefix(root) ? String(found.path.dropFirst(root.count)) : found.path,
            frameOffset: Int64(found.frameStart), frameLength: Int64(found.frameEnd - found.frameStart))
    }
}
