import Bytes
import JSONScan
package import Records

/// Why a record of a Gold topic cannot be used.
package struct GoldLineError: Error, CustomStringConvertible, Sendable, Equatable {
    /// The field, or `line` or `headers` for the whole.
    package let field: String
    package let reason: String

    package var description: String { "Gold record: \(field) \(reason)" }
}

/// Reads Gold lines back (`schemas/gold.schema.json`).
package enum GoldLine {
    /// - Parameter bytes: one line without its newline.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(GoldLineError) -> GoldDocument {
        let json: JSONValue
        do throws(JSONError) {
            json = try JSONValue.parse(bytes)
        } catch {
            throw GoldLineError(field: "line", reason: "is not JSON: \(error.description)")
        }
        guard json.object != nil else { throw GoldLineError(field: "line", reason: "is not an object") }
        let time = try text(json, "event_time")
        guard let milliseconds = CivilTime.epochMilliseconds(time) else {
            throw GoldLineError(field: "event_time", reason: "is not an RFC 3339 time")
        }
        return GoldDocument(
            docID: try text(json, "doc_id"), version: try integer(json, "version"),
            collection: try text(json, "collection"), attributes: try attributes(json),
            type: try text(json, "type"), namespace: try integerOrNil(json, "namespace"), user: try text(json, "user"),
            isBot: try flag(json, "is_bot"), text: try text(json, "text"), eventTimeMilliseconds: milliseconds,
            title: try text(json, "title"), url: try text(json, "url"), lang: try text(json, "lang"),
            wiki: try text(json, "wiki"), qualityFlags: try texts(json, "quality_flags"),
            textHash: try text(json, "text_hash"), contentHash: try text(json, "content_hash"),
            lineage: try lineage(json))
    }

    private static func lineage(_ json: JSONValue) throws(GoldLineError) -> Lineage {
        guard let lineage = json["lineage"], let parents = lineage["parents"]?.array else {
            throw GoldLineError(field: "lineage", reason: "is absent or has no parents")
        }
        var references: [ParentReference] = []
        for parent in parents {
            guard let partition = Int32(exactly: try integer(parent, "partition")) else {
                throw GoldLineError(field: "partition", reason: "is out of range")
            }
            references.append(
                ParentReference(
                    topic: try text(parent, "topic"), partition: partition, offset: try integer(parent, "offset"),
                    eventID: try text(parent, "event_id"), bronzeSHA256: try text(parent, "bronze_sha256")))
        }
        return Lineage(logicVersion: try text(lineage, "logic_version"), parents: references)
    }

    private static func attributes(_ json: JSONValue) throws(GoldLineError) -> [String: String] {
        guard let value = json["attributes"], !value.isNull else { return [:] }
        guard let members = value.object else {
            throw GoldLineError(field: "attributes", reason: "is not an object")
        }
        var result: [String: String] = [:]
        for (name, member) in members {
            guard let text = member.string else {
                throw GoldLineError(field: "attributes.\(name)", reason: "is not a string")
            }
            result[name] = text
        }
        return result
    }

    private static func text(_ json: JSONValue, _ name: String) throws(GoldLineError) -> String {
        guard let value = json[name]?.string else { throw GoldLineError(field: name, reason: "is not a string") }
        return value
    }

    private static func integer(_ json: JSONValue, _ name: String) throws(GoldLineError) -> Int64 {
        guard let value = json[name]?.integer else { throw GoldLineError(field: name, reason: "is not an integer") }
        return value
    }

    private static func integerOrNil(_ json: JSONValue, _ name: String) throws(GoldLineError) -> Int64? {
        if let value = json[name], value.isNull { return nil }
        return try integer(json, name)
    }

    private static func flag(_ json: JSONValue, _ name: String) throws(GoldLineError) -> Bool {
        guard let value = json[name]?.bool else { throw GoldLineError(field: name, reason: "is not true or false") }
        return value
    }

    private static func texts(_ json: JSONValue, _ name: String) throws(GoldLineError) -> [String] {
        guard let values = json[name]?.array else { throw GoldLineError(field: name, reason: "is not an array") }
        var result: [String] = []
        for value in values {
            guard let text = value.string else { throw GoldLineError(field: name, reason: "holds a non-string") }
            result.append(text)
        }
        return result
    }
}

/// A document on its way into the index.
package struct PendingDocument: Sendable, Equatable {
    package var generation: Int64
    /// The topic partition of its Bronze record.
    package var source: TopicPartition
    package var sourceOffset: Int64
    /// Broker time of the Bronze record, milliseconds since 1970; nil where unknown.
    package var sourceTimestampMilliseconds: Int64?
    package var document: GoldDocument
    /// The Gold line, as it was read.
    package var line: [UInt8]

    package init(
        generation: Int64, source: TopicPartition, sourceOffset: Int64, sourceTimestampMilliseconds: Int64? = nil,
        document: GoldDocument, line: [UInt8] = []
    ) {
        self.generation = generation
        self.source = source
        self.sourceOffset = sourceOffset
        self.sourceTimestampMilliseconds = sourceTimestampMilliseconds
        self.document = document
        self.line = line
    }
}

/// The marker behind a commit's documents.
struct CommitMarker: Sendable, Equatable {
    var generations: [Int64]
    var source: TopicPartition
    var startOffset: Int64
    var nextOffset: Int64
    /// First source offset that the stream job fed to a generation.
    var handovers: [Int64: Int64]

    static func decode(_ bytes: UnsafeRawBufferPointer) throws(GoldLineError) -> CommitMarker {
        let json: JSONValue
        do throws(JSONError) {
            json = try JSONValue.parse(bytes)
        } catch {
            throw GoldLineError(field: "marker", reason: "is not JSON: \(error.description)")
        }
        guard let topic = json["topic"]?.string, TopicPartition.isTopicName(topic),
            let partition = json["partition"]?.integer,
            let narrow = Int32(exactly: partition), let start = json["start_offset"]?.integer,
            let next = json["next_offset"]?.integer, start >= 0, start <= next, next < .max,
            let generations = json["generations"]?.array
        else { throw GoldLineError(field: "marker", reason: "lacks a field") }
        var handovers: [Int64: Int64] = [:]
        for (name, value) in json["handover"]?.object ?? [] {
            guard let generation = Int64(name), let offset = value.integer, offset >= 0, offset < .max else {
                throw GoldLineError(field: "handover", reason: "is not offsets by generation")
            }
            handovers[generation] = offset
        }
        return CommitMarker(
            generations: generations.compactMap(\.integer), source: TopicPartition(topic: topic, partition: narrow),
            startOffset: start, nextOffset: next, handovers: handovers)
    }
}
