import Bytes
import JSONScan
import Kafka
import Records

/// Follows the sources' topics from their ends on, for those who watch events on their way. Confined to one lane.
///
/// It reads of a recent change what names it and what the filters compare, and nothing of one that is too large to be looked
/// at in passing. Of other records it tells the place only: what their members mean is for their source's logic to say.
final class SourceStageReader: SourceReader {
    private let consumer: KafkaConsumer
    private var fields: RecordFields

    private static let fetchAheadKilobytes = 4_096
    private static let timeoutMilliseconds = 5_000

    init(_ configuration: KafkaConfiguration, topics: [String]) throws {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMaxKilobytes = Self.fetchAheadKilobytes
        options.queueMinRecords = 2_000
        consumer = try KafkaConsumer(configuration, options: options)
        fields = try RecordFields()
        let admin = try KafkaAdmin(configuration, requestMilliseconds: Self.timeoutMilliseconds)
        var places: [(topic: String, partition: Int32, offset: StartOffset)] = []
        for topic in topics {
            let found = try admin.metadata(topic: topic, timeoutMilliseconds: Self.timeoutMilliseconds).topics
            for partition in found.first(where: { $0.name == topic })?.partitions ?? [] {
                let marks = try consumer.watermarks(
                    topic: topic, partition: partition, timeoutMilliseconds: Self.timeoutMilliseconds)
                places.append((topic, partition, .at(marks.high)))
            }
        }
        try consumer.assign(places)
    }

    func next(countMax: Int, timeoutMilliseconds: Int) throws -> [StageStep] {
        try consumer.next(maxRecords: countMax, timeoutMilliseconds: timeoutMilliseconds) { batch in
            // What cannot be read is the stream job's to report; whoever watches begins anew at the end.
            if let place = batch.unreadable.first { throw place.error }
            if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
            var steps: [StageStep] = []
            for index in 0..<batch.count { steps.append(step(batch[index])) }
            return steps
        }
    }

    private func step(_ record: KafkaRecord) -> StageStep {
        var step = StageStep(
            .received, docID: nil, topicPartition: TopicPartition(topic: record.topic, partition: record.partition),
            offset: record.offset,
            atMilliseconds: record.timestampMilliseconds < 0
                ? SystemClock.epochMilliseconds() : record.timestampMilliseconds)
        if let value = record.value { fields.read(value, into: &step) }
        return step
    }
}

/// Reads the few fields of a raw event.
private struct RecordFields: ~Copyable {
    private var parser: JSONFieldParser

    private static let paths = ["meta.id", "wiki", "type", "namespace", "bot"]
    private static let bytesMax = 256 << 10

    init() throws(JSONError) {
        parser = try JSONFieldParser(paths: Self.paths, documentBytesMax: Self.bytesMax)
    }

    mutating func read(_ value: UnsafeRawBufferPointer, into step: inout StageStep) {
        guard value.count <= Self.bytesMax, parser.parseObject(value) == nil else { return }
        step.docID = text(0)
        if let wiki = text(1) { step.attributes.set(.wiki, .string(wiki)) }
        if let type = text(2) { step.attributes.set(.type, .string(type)) }
        let (namespace, bot) = (parser.field(3), parser.field(4))
        if namespace.kind == .integer { step.attributes.set(.namespace, .integer(namespace.integer)) }
        if bot.kind == .bool { step.attributes.set(.isBot, .bool(bot.integer != 0)) }
    }

    private func text(_ index: Int) -> String? {
        let field = parser.field(index)
        return field.kind == .string ? String(decoding: field.text, as: UTF8.self) : nil
    }
}
