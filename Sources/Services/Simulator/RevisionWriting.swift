import Bytes

/// The JSON of an invented revision, as the streams page-create and revision-create have it.
/// https://schema.wikimedia.org/repositories/primary/jsonschema/mediawiki/revision/create
extension ChangeDraft {
    mutating func writeRevisionEvent(of stream: SimulatedStream, to writer: inout JSONWriter) {
        let uri = "https://\(site.domain)/wiki/\(WikiText.pathEncoded(title))"
        let revision = 1_340_000_000 + index * 2 + roll(2)
        // A new page has no revision before its first one.
        let parent = type == "new" ? nil : revision - 1 - roll(90_000_000)
        writer.beginObject()
        writer.string("$schema", "/mediawiki/revision/create/2.0.0")
        writeMeta(uri: uri, stream: stream, to: &writer)
        writer.string("database", site.database)
        writer.integer("page_id", 1_000 + (stream == .pageCreate ? 80_000_000 + index : roll(80_000_000)))
        writer.string("page_title", title.replacing(" ", with: "_"))
        writer.integer("page_namespace", namespace)
        writer.integer("rev_id", revision)
        writer.string("rev_timestamp", CivilTime.rfc3339(time / 1_000 * 1_000))
        writer.string("rev_sha1", "\(String(random.next(), radix: 36))\(String(random.next(), radix: 36))")
        writer.bool("rev_minor_edit", parent != nil && chance(35))
        writer.integer("rev_len", 40 + roll(6_000))
        writer.string("rev_content_model", site.kind == .wikidata ? "wikibase-item" : "wikitext")
        writer.string("rev_content_format", site.kind == .wikidata ? "application/json" : "text/x-wiki")
        writePerformer(to: &writer)
        writer.bool("page_is_redirect", chance(4))
        writer.string("comment", comment)
        writer.string("parsedcomment", WikiText.parsed(comment))
        writer.string("dt", CivilTime.rfc3339(time / 1_000 * 1_000))
        if let parent { writer.integer("rev_parent_id", parent) }
        writer.bool("rev_content_changed", true)
        writer.endObject()
    }

    private mutating func writePerformer(to writer: inout JSONWriter) {
        writer.key("performer")
        writer.beginObject()
        writer.string("user_text", user)
        writer.key("user_groups")
        writer.beginArray()
        for group in isBot ? ["bot", "*", "user", "autoconfirmed"] : ["*", "user"] { writer.string(group) }
        writer.endArray()
        writer.bool("user_is_bot", isBot)
        writer.integer("user_id", 1 + roll(60_000_000))
        writer.integer("user_edit_count", 1 + roll(400_000))
        writer.endObject()
    }
}
