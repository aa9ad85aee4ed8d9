import Bytes
import JSONScan
import Records

/// What a tier log says of one sealed file: where its verified copy is.
package struct TierEntry: Equatable, Sendable {
    package let name: DataFileName
    package let bucket: String
    package let key: String
    /// Compressed.
    package let bytes: Int
    /// SHA-256 of the compressed bytes, in hexadecimal.
    package let sha256: String
    /// SHA-256 of the lines, as the seal has it.
    package let contentSHA256: String
    /// When it was recorded, in milliseconds since 1970, by the machine's clock.
    package let atMilliseconds: Int64

    /// As tools write it.
    package var url: String { "s3://\(bucket)/\(key)" }
}

extension TierEntry {
    /// The entry as one JSON object with fixed order (`schemas/tier.schema.json`).
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("kind")
        json.string("tiered")
        json.key("layer")
        json.string(name.layer.rawValue)
        json.key("generation")
        if let generation = name.generation { json.integer(generation) } else { json.null() }
        json.key("hour")
        json.integer(name.hour.number)
        json.key("first_offset")
        json.integer(name.firstOffset)
        json.key("bucket")
        json.string(bucket)
        json.key("key")
        json.string(key)
        json.key("bytes")
        json.integer(bytes)
        json.key("sha256")
        json.string(sha256)
        json.key("content_sha256")
        json.string(contentSHA256)
        json.key("at_ms")
        json.integer(atMilliseconds)
        json.endObject()
        return json.bytes
    }

    /// Nil where a field is missing or of another type.
    init?(_ value: JSONValue, source: TopicPartition) {
        guard value["kind"]?.string == "tiered", let layer = value["layer"]?.string.flatMap(Layer.init),
            let hour = value["hour"]?.integer, let firstOffset = value["first_offset"]?.integer,
            let bucket = value["bucket"]?.string, let key = value["key"]?.string,
            let bytes = value["bytes"]?.integer, let sha = value["sha256"]?.string,
            let contentSHA = value["content_sha256"]?.string, let at = value["at_ms"]?.integer
        else { return nil }
        self.init(
            name: DataFileName(
                layer: layer, generation: value["generation"]?.integer, source: source, hour: LakeHour(number: hour),
                firstOffset: firstOffset),
            bucket: bucket, key: key, bytes: Int(bytes), sha256: sha, contentSHA256: contentSHA, atMilliseconds: at)
    }
}

/// Which sealed files of a topic partition are in the object storage: one small log per date of the files' hours, so
/// that one file is found by reading one of them, whatever the lake's size.
struct TierLog {
    let layout: LakeLayout
    let source: TopicPartition

    /// What the log says of a file; nil where it was not tiered.
    func entry(of name: DataFileName) throws(LakeError) -> TierEntry? {
        try entries(hour: name.hour).last { $0.name == name }
    }

    /// Records a file, durably.
    func append(_ entry: TierEntry) throws(LakeError) {
        try RecordLog(path: layout.tierLog(source, hour: entry.name.hour)).append(entry.json, in: layout)
    }

    /// Makes the entries of an hour's log durable: those of a process that was killed may not be.
    func makeDurable(hour: LakeHour) throws(LakeError) {
        try RecordLog(path: layout.tierLog(source, hour: hour)).makeDurable(in: layout)
    }

    private func entries(hour: LakeHour) throws(LakeError) -> [TierEntry] {
        let log = RecordLog(path: layout.tierLog(source, hour: hour))
        var entries: [TierEntry] = []
        for value in try log.read() {
            guard let entry = TierEntry(value, source: source) else {
                throw .damaged(path: log.path, reason: "an entry lacks a field")
            }
            entries.append(entry)
        }
        return entries
    }
}
