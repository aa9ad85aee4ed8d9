import Bytes
import Derivation
import Ingest
import Lake
import Logic
import Records
import Sources

/// What a run of `medallion ingest` would bring: every document goes through the declaration's logic, and nothing anywhere else.
struct IngestTrial {
    /// What became of the documents.
    struct Report: Sendable {
        var indexed = 0
        /// By rule.
        var quarantined: [String: Int] = [:]
        /// What a stage keeps out of the index, by rule.
        var leftOut: [String: Int] = [:]
        /// Documents that would be deleted, because they say so.
        var deleted = 0
        /// Of those that would be indexed, by their codes.
        var languages: [String: Int] = [:]
        /// The first of them.
        var samples: [GoldDocument] = []
    }

    static let samplesMax = 3

    private let source: SourceDeclaration
    private let given: GivenFiles

    init(_ source: SourceDeclaration, _ given: GivenFiles) {
        self.source = source
        self.given = given
    }

    func run() throws -> Report {
        let shape = DocumentShape(source.logic)
        var options = FilesConnector.Options(folder: "", statePath: "")
        options.isForgetful = true
        options.given = given
        options.shape = shape
        options.lineBytesMax = IngestJob.documentBytesMax
        let files = try FilesConnector(options, scan: DocumentScan(idPath: shape.idPath))
        var processor = try RecordProcessor(
            source: TopicPartition(topic: source.topic, partition: 0), writesBronze: false)
        try processor.add(
            LakeGeneration(
                number: 0, parent: nil, logic: .byTopic([source.topic: try TopicLogic(source)]), state: .created))
        var report = Report()
        var position: SourcePosition?
        var offset: Int64 = 0
        while !files.isDone {
            let batch = try files.next(after: position)
            files.count(batch)
            for event in batch.events {
                try process(event, offset, &processor)
                offset += 1
            }
            try collect(&processor, into: &report)
            if let last = batch.events.last?.position { try files.acknowledged(last) }
            position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
            if batch.pauseMilliseconds > 0 { Pause.milliseconds(batch.pauseMilliseconds) }
        }
        return report
    }

    private func process(_ event: SourceEvent, _ offset: Int64, _ processor: inout RecordProcessor) throws {
        try event.value.withUnsafeBytes { value in
            _ = try processor.process(
                SourceRecord(
                    topic: source.topic, partition: 0, offset: offset,
                    timestampMilliseconds: SystemClock.epochMilliseconds(), key: nil, value: value))
        }
    }

    /// Takes what the logic made of a batch.
    private func collect(_ processor: inout RecordProcessor, into report: inout Report) throws {
        var deletions = 0
        for entry in processor.gold {
            let line = Array(processor.generations[0].lines.gold[entry.line])
            let document = try line.withUnsafeBytes { bytes throws(RecordFormatError) in try GoldLine.decode(bytes) }
            guard document.operation == .put else {
                deletions += 1
                continue
            }
            report.indexed += 1
            report.languages[document.lang, default: 0] += 1
            if report.samples.count < Self.samplesMax { report.samples.append(document) }
        }
        for (rule, count) in processor.generations[0].lines.rejects {
            report.quarantined[rule.rawValue, default: 0] += count
        }
        var leftOut = 0
        for (rule, count) in processor.generations[0].lines.rules where rule.declaration.severity == .leaveOut {
            report.leftOut[rule.rawValue, default: 0] += count.count
            leftOut += count.count
        }
        // Gold says of a document that a stage keeps out that it is not there.
        report.deleted += max(0, deletions - leftOut)
        processor.removeLines()
    }
}
