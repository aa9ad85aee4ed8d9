import Bytes
package import Records
package import Store

/// What is wrong with a document of the index.
package enum AuditFault: String, Sendable, CaseIterable {
    /// The lake has it, the index does not show it.
    case missing
    /// The index shows it, the lake does not have it, or has deleted it.
    case extra
    /// An older version, another content, title or text is shown.
    case changed
    /// A passage lacks its words.
    case words
    /// A passage lacks its vector.
    case vectorMissing = "vector_missing"
    /// A vector's length is not 1.
    case vectorNorm = "vector_norm"
    /// The vectors are said to be of another model than the generation's.
    case vectorModel = "vector_model"
    /// A vector is another text's.
    case vectorSwapped = "vector_swapped"
}

/// One document that is not as the lake has it.
package struct AuditFinding: Sendable, Equatable {
    package var fault: AuditFault
    package var source: TopicPartition
    package var offset: Int64
    /// `tenant/collection/doc_id`.
    package var document: String
}

/// What an audit came to.
package struct AuditReport: Sendable, Equatable {
    package var generation: Int64
    /// Documents of the lake that were looked at: the newest version of each that the index shows.
    package var documents: Int64 = 0
    /// Gold lines that were read.
    package var lines: Int64 = 0
    /// Vectors that were made again and compared.
    package var embedded = 0
    /// Lines that Postgres had refused, which is no drift.
    package var refused: Int64 = 0
    /// Documents with a fault, by the first that was found.
    package var faults: [AuditFault: Int64] = [:]
    /// Shown rows of offsets that the lake's ranges or the index's checkpoints do not cover, counted as extra; a repair leaves them.
    package var outside: Int64 = 0
    package var orphans = IndexOrphans()
    /// Documents that were written again or hidden.
    package var repaired: Int64 = 0

    package init(generation: Int64) { self.generation = generation }

    /// Documents and rows that are not as they should be.
    package var drift: Int64 { faults.values.reduce(0, +) + orphans.sum }

    /// One object.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.integer("generation", generation)
        writer.integer("lines", lines)
        writer.integer("documents", documents)
        writer.integer("embedded", embedded)
        writer.integer("refused", refused)
        writer.integer("drift", drift)
        writer.integer("repaired", repaired)
        writer.integer("outside", outside)
        writer.key("faults")
        writer.beginObject()
        for fault in AuditFault.allCases {
            writer.key(dynamic: fault.rawValue)
            writer.integer(faults[fault] ?? 0)
        }
        writer.endObject()
        writer.key("orphans")
        writer.beginObject()
        writer.integer("documents", orphans.documents)
        writer.integer("passages", orphans.passages)
        writer.integer("words", orphans.words)
        writer.integer("postings", orphans.postings)
        writer.integer("vectors", orphans.vectors)
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }
}
