import Bytes
import Telemetry

/// Writes events as OpenLineage's JSON, version 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json).
struct LineageJSON {
    let names: LineageNames

    /// URIs that no server answers: OpenLineage wants one wherever something is named.
    private static let producer = "urn:medallion:\(Product.version)"
    private static let offsetsSchema = "urn:medallion:schema:openlineage_offsets:1"
    private static let specification = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    private static let facets = "https://openlineage.io/spec/facets/"
    /// A message of an error may be as long as a record.
    private static let errorCharactersMax = 2_000

    /// One JSON object without a newline.
    func bytes(_ event: RunEvent) -> [UInt8] {
        var writer = JSONWriter(capacity: 1_024)
        writer.beginObject()
        writer.key("eventType")
        writer.string(event.state.rawValue)
        writer.key("eventTime")
        writer.string(CivilTime.rfc3339(event.timeMilliseconds))
        writer.string("producer", Self.producer)
        writer.string("schemaURL", Self.specification)
        writer.key("run")
        run(event, &writer)
        writer.key("job")
        job(event.job, &writer)
        writer.key("inputs")
        writer.beginArray()
        for dataset in event.inputs { write(dataset, isInput: true, &writer) }
        writer.endArray()
        writer.key("outputs")
        writer.beginArray()
        for dataset in event.outputs { write(dataset, isInput: false, &writer) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private func run(_ event: RunEvent, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.string("runId", event.runID)
        writer.key("facets")
        writer.beginObject()
        if let error = event.error {
            writer.key("errorMessage")
            Self.facet("1-0-1/ErrorMessageRunFacet", &writer) { writer in
                writer.string("message", String(error.prefix(Self.errorCharactersMax)))
                writer.string("programmingLanguage", "Swift")
            }
        }
        writer.endObject()
        writer.endObject()
    }

    private func job(_ job: RunEvent.Job, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.string("namespace", names.jobNamespace)
        writer.string("name", job.name)
        writer.key("facets")
        writer.beginObject()
        writer.key("jobType")
        Self.facet("2-0-4/JobTypeJobFacet", &writer) { writer in
            writer.string("processingType", job.processing.rawValue)
            writer.string("integration", "MEDALLION")
            writer.string("jobType", "JOB")
        }
        writer.endObject()
        writer.endObject()
    }

    private func write(_ dataset: RunDataset, isInput: Bool, _ writer: inout JSONWriter) {
        let (namespace, name) = names.name(of: dataset.place)
        writer.beginObject()
        writer.string("namespace", namespace)
        writer.string("name", name)
        writer.key("facets")
        writer.beginObject()
        if !dataset.offsets.isEmpty {
            writer.key("medallionOffsets")
            offsets(dataset.offsets, &writer)
        }
        writer.endObject()
        if !isInput {
            writer.key("outputFacets")
            writer.beginObject()
            if dataset.rows != nil || dataset.bytes != nil {
                writer.key("outputStatistics")
                Self.facet("1-0-2/OutputStatisticsOutputDatasetFacet", &writer) { writer in
                    if let rows = dataset.rows { writer.integer("rowCount", rows) }
                    if let bytes = dataset.bytes { writer.integer("size", bytes) }
                }
            }
            writer.endObject()
        }
        writer.endObject()
    }

    /// A facet of our own (`schemas/openlineage_offsets.schema.json`).
    private func offsets(_ ranges: [RunDataset.Offsets], _ writer: inout JSONWriter) {
        Self.facet(schema: Self.offsetsSchema, &writer) { writer in
            writer.key("ranges")
            writer.beginArray()
            for range in ranges {
                writer.beginObject()
                writer.string("topic", range.topic)
                writer.integer("partition", range.partition)
                writer.integer("start", range.start)
                writer.integer("end", range.end)
                writer.endObject()
            }
            writer.endArray()
        }
    }

    private static func facet(_ name: String, _ writer: inout JSONWriter, _ body: (inout JSONWriter) -> Void) {
        let definition = name.split(separator: "/").last.map(String.init) ?? name
        facet(schema: "\(facets)\(name).json#/$defs/\(definition)", &writer, body)
    }

    private static func facet(schema: String, _ writer: inout JSONWriter, _ body: (inout JSONWriter) -> Void) {
        writer.beginObject()
        writer.string("_producer", producer)
        writer.string("_schemaURL", schema)
        body(&writer)
        writer.endObject()
    }
}
