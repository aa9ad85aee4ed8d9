import Bytes

/// The headers and keys of records on a `<source>.gold` topic, written and read here and nowhere else.
package enum GoldTopic {
    /// What a record stands for.
    package enum Kind: String, Sendable, CaseIterable {
        case document
        /// The marker behind a commit's documents; see ``CommitMarker``.
        case commit
        /// Stands for a document that is too large for the topic; see ``RefusalNotice``.
        case refused
    }

    /// The name of the header with the ``Kind``.
    package static let kindHeader = "kind"
    /// On a document that goes to the topic again behind its commit's marker, because the broker refused its batch.
    package static let lateHeader = "late"
    package static let generationHeader = "generation"
    package static let sourceTopicHeader = "source_topic"
    package static let sourcePartitionHeader = "source_partition"
    package static let sourceOffsetHeader = "source_offset"
    /// Broker time of the source record in milliseconds, for freshness.
    package static let sourceTimestampHeader = "source_timestamp_ms"
    /// When the platform had the source record, as its header ``IngestTimeHeader`` says.
    package static let receivedHeader = "received_ms"
    /// The key of commit markers.
    package static let commitKey = "commit"
    /// The key of refusal notices.
    package static let refusedKey = "refused"
    /// The key of lines that are about no document; those of documents have its id.
    package static let deleteBelowKey = GoldOperation.deleteBelow.rawValue

    /// The kind of a record.
    ///
    /// - Parameter header: the value of the last header of a name.
    /// - Throws: ``RecordFormatError`` where it says none that is known.
    package static func kind(
        _ header: (String) -> UnsafeRawBufferPointer?
    ) throws(RecordFormatError) -> Kind {
        let text = header(kindHeader).map { String(decoding: $0, as: UTF8.self) }
        guard let kind = text.flatMap(Kind.init) else {
            throw GoldLine.fault("headers", "have kind \(text ?? "absent")")
        }
        return kind
    }

    /// Whether a document comes behind its commit's marker, out of the order of offsets.
    package static func isLate(_ header: (String) -> UnsafeRawBufferPointer?) -> Bool { header(lateHeader) != nil }

    /// Which record of the source a document on the topic was made from, and for which generation.
    package struct Place: Sendable, Equatable {
        package var generation: Int64
        /// The Bronze record's, not the Gold topic's.
        package var topicPartition: TopicPartition
        package var offset: Int64
        /// Broker time of the Bronze record in milliseconds since 1970; nil where unknown.
        package var timestampMilliseconds: Int64?
        /// When the platform had the Bronze record, in milliseconds since 1970; nil where unknown.
        package var receivedMilliseconds: Int64?

        /// Headers of a document at most, the kind's among them.
        package static let headersMax = 7

        package init(
            generation: Int64, topicPartition: TopicPartition, offset: Int64, timestampMilliseconds: Int64? = nil,
            receivedMilliseconds: Int64? = nil
        ) {
            self.generation = generation
            self.topicPartition = topicPartition
            self.offset = offset
            self.timestampMilliseconds = timestampMilliseconds
            self.receivedMilliseconds = receivedMilliseconds
        }

        /// Reads the headers of a document or of a notice in its place.
        ///
        /// - Parameter header: the value of the last header of a name.
        /// - Throws: ``RecordFormatError`` naming the header.
        package init(_ header: (String) -> UnsafeRawBufferPointer?) throws(RecordFormatError) {
            func number(_ name: String) throws(RecordFormatError) -> Int64 {
                guard let value = header(name).flatMap({ DecimalText.integer($0) }), value >= 0, value < .max else {
                    throw GoldLine.fault(name, "is not a number that counts among the headers")
                }
                return value
            }
            let topic = header(sourceTopicHeader).map { String(decoding: $0, as: UTF8.self) }
            guard let topic, TopicPartition.isTopicName(topic) else {
                throw GoldLine.fault(sourceTopicHeader, "is no topic's name among the headers")
            }
            guard let partition = Int32(exactly: try number(sourcePartitionHeader)) else {
                throw GoldLine.fault(sourcePartitionHeader, "is out of range")
            }
            let timestamp = header(sourceTimestampHeader).flatMap { DecimalText.integer($0) }
            let received = header(receivedHeader).flatMap { DecimalText.integer($0) }
            self.init(
                generation: try number(generationHeader),
                topicPartition: TopicPartition(topic: topic, partition: partition),
                offset: try number(sourceOffsetHeader),
                timestampMilliseconds: timestamp.map { SourceRecord.brokerMilliseconds($0) },
                receivedMilliseconds: received.map { SourceRecord.brokerMilliseconds($0) })
        }

        /// Writes the headers of a document or of a notice in its place, ``headersMax`` at most.
        package func write(
            _ kind: Kind, text: (_ name: String, String) -> Void, number: (_ name: String, Int64) -> Void
        ) {
            text(kindHeader, kind.rawValue)
            number(generationHeader, generation)
            text(sourceTopicHeader, topicPartition.topic)
            number(sourcePartitionHeader, Int64(topicPartition.partition))
            number(sourceOffsetHeader, offset)
            if let timestampMilliseconds { number(sourceTimestampHeader, timestampMilliseconds) }
            if let receivedMilliseconds { number(receivedHeader, receivedMilliseconds) }
        }
    }
}

/// The marker behind a commit's documents: all documents of its offsets stand in front of it.
package struct CommitMarker: Sendable, Equatable {
    /// The members of its JSON, in their order.
    package static let fields = ["generations", "topic", "partition", "start_offset", "next_offset", "handover"]

    /// The generations that the commit has documents for.
    package var generations: [Int64]
    /// The Bronze records'.
    package var topicPartition: TopicPartition
    package var startOffset: Int64
    package var nextOffset: Int64
    /// First source offset that the stream job fed to a generation.
    package var handovers: [Int64: Int64]

    package init(generations: [Int64], topicPartition: TopicPartition, range: OffsetRange, handovers: [Int64: Int64]) {
        self.generations = generations
        self.topicPartition = topicPartition
        startOffset = range.start
        nextOffset = range.end
        self.handovers = handovers
    }

    /// The record's value.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("generations")
        json.beginArray()
        for generation in generations { json.integer(generation) }
        json.endArray()
        json.string("topic", topicPartition.topic)
        json.integer("partition", topicPartition.partition)
        json.integer("start_offset", startOffset)
        json.integer("next_offset", nextOffset)
        json.key("handover")
        json.beginObject()
        for (generation, offset) in handovers.sorted(by: { $0.key < $1.key }) {
            json.key(dynamic: String(generation))
            json.integer(offset)
        }
        json.endObject()
        json.endObject()
        return json.bytes
    }

    /// Reads a record's value.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ bytes: UnsafeRawBufferPointer?) throws(RecordFormatError) {
        guard let bytes else { throw GoldLine.fault("marker", "is empty") }
        var topic: String?
        var (partition, start, next) = (Int64?.none, Int64?.none, Int64?.none)
        var generations: [Int64]?
        var handovers: [Int64: Int64] = [:]
        var areHandoversRight = true
        func take(_ name: JSONSlice, _ value: JSONSlice) {
            if name.equals("generations") {
                guard value.kind == .array else { return }
                var numbers: [Int64] = []
                value.forEachElement { if let number = $0.integer { numbers.append(number) } }
                generations = numbers
            } else if name.equals("topic") {
                topic = value.string
            } else if name.equals("partition") {
                partition = value.integer
            } else if name.equals("start_offset") {
                start = value.integer
            } else if name.equals("next_offset") {
                next = value.integer
            } else if name.equals("handover") {
                value.forEachMember { name, value in
                    if let generation = name.string.flatMap({ Int64($0) }), let offset = value.integer, offset >= 0,
                        offset < .max
                    {
                        handovers[generation] = offset
                    } else {
                        areHandoversRight = false
                    }
                }
            }
        }
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: bytes) { take($0, $1) }
        } catch {
            throw GoldLine.fault("marker", "is not a JSON object: \(error.description)")
        }
        guard let topic, TopicPartition.isTopicName(topic), let partition, let narrow = Int32(exactly: partition),
            let start, let next, start >= 0, next < .max, let range = OffsetRange(start: start, end: next),
            let generations
        else { throw GoldLine.fault("marker", "lacks a field") }
        guard areHandoversRight else { throw GoldLine.fault("handover", "is not offsets by generation") }
        self.init(
            generations: generations, topicPartition: TopicPartition(topic: topic, partition: narrow), range: range,
            handovers: handovers)
    }
}

/// Stands on the Gold topic for a document that was too large for it: the lake has the line, the index lacks it.
package struct RefusalNotice: Sendable, Equatable {
    /// The members of its JSON, in their order.
    package static let fields = ["doc_id", "bytes", "reason"]

    private static let idCharactersMax = 255

    /// The beginning of the document's id.
    package var docID: String
    /// Bytes of the document's Gold line.
    package var bytes: Int
    /// What the topic or its broker said.
    package var reason: String

    /// - Parameter id: the document's; its beginning is kept.
    package init(id: UnsafeRawBufferPointer, bytes: Int, reason: String) {
        let id = String(decoding: id.prefix(4 * Self.idCharactersMax), as: UTF8.self)
        docID = String(String.UnicodeScalarView(id.unicodeScalars.prefix(Self.idCharactersMax)))
        self.bytes = bytes
        self.reason = reason
    }

    /// The record's value.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("doc_id", docID)
        json.integer("bytes", bytes)
        json.string("reason", reason)
        json.endObject()
        return json.bytes
    }

    /// Reads a record's value. What it lacks stays empty: that there is a notice says enough.
    package init(_ value: UnsafeRawBufferPointer?) {
        var notice = RefusalNotice(id: UnsafeRawBufferPointer(start: nil, count: 0), bytes: 0, reason: "")
        if let value {
            try? JSONLine.forEachMember(of: value) { name, value in
                if name.equals("doc_id") {
                    notice.docID = value.string ?? ""
                } else if name.equals("bytes") {
                    notice.bytes = value.integer.flatMap { Int(exactly: $0) } ?? 0
                } else if name.equals("reason") {
                    notice.reason = value.string ?? ""
                }
            }
        }
        self = notice
    }
}
