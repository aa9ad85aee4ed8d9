import Bytes
import Console
import Lake
import Records

/// `lake ls`: what a lake holds, by topic partition and, if wanted, file by file.
struct LakeListing {
    let reader: LakeReader
    let sources: [TopicPartition]
    let showsFiles: Bool
    /// nil for all; of files only.
    let layer: Layer?
    let isJSON: Bool

    func run() throws {
        for source in sources {
            guard let range = try reader.committedRange(source) else { continue }
            show(source, range)
            guard showsFiles else { continue }
            let replays = try reader.replays().filter { $0.source == source }.map { Optional($0.generation) }
            for replay in [nil] + replays {
                try reader.forEachHour(source, replay: replay) { hour throws(LakeError) in
                    for file in hour.files where layer == nil || layer == file.name.layer {
                        show(file, of: hour, place: try place(of: file))
                    }
                }
            }
        }
    }

    /// A word for where the file's bytes are, and the path or address.
    private func place(of file: InventoryFile) throws(LakeError) -> (state: String, path: String) {
        let path = file.path(in: reader.layout)
        guard file.isSealed else { return ("open", path) }
        return switch try SealedFileSource(layout: reader.layout).place(of: file.name) {
        case .local: ("sealed", path)
        case .tiered(let entry): ("tiered", entry.url)
        case .expired: ("expired", path)
        case .missing: ("missing", path)
        }
    }

    private func show(_ source: TopicPartition, _ range: OffsetRange) {
        guard isJSON else {
            Output.line("\(source)  offsets \(range)")
            return
        }
        var json = head(source)
        json.integer("start_offset", range.start)
        json.integer("next_offset", range.end)
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    private func show(_ file: InventoryFile, of hour: InventoryHour, place: (state: String, path: String)) {
        guard isJSON else {
            Output.line(
                "  \(hour.hour)  \(place.state)  offsets \(hour.range)  \(file.lines) lines  "
                    + "\(Rendering.bytes(file.bytes))  \(place.path)")
            return
        }
        var json = head(hour.source)
        json.string("layer", file.name.layer.rawValue)
        json.key("generation")
        if let generation = file.name.generation { json.integer(generation) } else { json.null() }
        json.string("hour", CivilTime.rfc3339(hour.hour.number * 3_600_000))
        json.string("state", place.state)
        json.integer("start_offset", hour.range.start)
        json.integer("next_offset", hour.range.end)
        json.integer("lines", file.lines)
        json.integer("bytes", file.bytes)
        json.string("path", place.path)
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }

    private func head(_ source: TopicPartition) -> JSONWriter {
        var json = JSONWriter()
        json.beginObject()
        json.string("topic", source.topic)
        json.integer("partition", source.partition)
        return json
    }
}
