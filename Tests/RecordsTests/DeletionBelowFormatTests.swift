import Bytes
import JSONScan
import Records
import Testing

/// Gold lines that delete all below a version: they are about no document.
@Suite struct DeletionBelowFormatTests {
    private func line(
        tenant: TenantID = .standard, flags: [String] = [], version: Int64 = 7
    ) throws -> (line: [UInt8], lineage: Lineage) {
        var gold: [UInt8] = []
        var digest = Array("of another line".utf8)
        var hasher = TestHasher()
        let parent = ParentReference(topic: "a.topic", partition: 2, offset: 9, eventID: "@7", bronzeSHA256: "ab")
        let lineage = Lineage(logicVersion: "v1-x", parents: [parent])
        try GoldLine.append(
            GoldLine.DeletionBelow(version: version, eventTimeMilliseconds: 1_700_000_000_123, qualityFlags: flags),
            to: GoldLine.Destination(tenant: tenant, collection: "c"), digest: &digest, hasher: &hasher, output: &gold,
            lineageRoom: 16 + lineage.json.count
        ) { writer in
            writer.literal(",\"lineage\":")
            writer.bytes(lineage.json)
            writer.literal("}\n")
        }
        #expect(gold.popLast() == 0x0A)
        return (gold, lineage)
    }

    private func read(_ line: String) throws -> GoldDocument {
        try Array(line.utf8).withUnsafeBytes { try GoldLine.decode($0) }
    }

    @Test(arguments: ["default", "acme"], [[], ["event_time_missing"]])
    func itIsReadBack(tenant: String, flags: [String]) throws {
        let tenant = try #require(TenantID(tenant))
        let (line, lineage) = try line(tenant: tenant, flags: flags, version: .max)
        let members = try JSONValue.parse(line).object?.map(\.key) ?? []
        #expect(
            members
                == [
                    "version", "operation", "tenant", "collection", "event_time", "quality_flags", "content_hash",
                    "lineage",
                ].filter { $0 != "tenant" || tenant != .standard })
        let known = GoldLine.Field.allCases.map { "\($0.name)" }
        let order = members.compactMap { known.firstIndex(of: $0) }
        #expect(order == order.sorted() && order.count == members.count)
        // The hash covers the line up to itself as an object of its own.
        let text = String(decoding: line, as: UTF8.self)
        let end = try #require(text.firstRange(of: ",\"content_hash\"")).lowerBound
        var covered: [UInt8] = []
        var hasher = TestHasher()
        Array((String(text[..<end]) + "}").utf8).withUnsafeBytes { hasher.appendHexDigest(of: $0, to: &covered) }
        #expect(
            try read(text)
                == GoldDocument(
                    tenant: tenant, collection: try #require(CollectionName("c")), docID: "", version: .max,
                    operation: .deleteBelow, text: "", eventTimeMilliseconds: 1_700_000_000_123, title: "", url: "",
                    lang: "", qualityFlags: flags, textHash: "", contentHash: String(decoding: covered, as: UTF8.self),
                    lineage: lineage))
        // Only the collection is told: what it deletes has any time and language.
        let attributes = try line.withUnsafeBytes { AttributeList(goldLine: try GoldLine.Fields($0)) }
        #expect(attributes == AttributeList([.collection: .string("c")]))
    }

    /// Strictly, but for members that say nothing here.
    @Test func whatItMustSayIsDemanded() throws {
        let line = String(decoding: try line().line, as: UTF8.self)
        for (old, new, field, reason) in [
            ("\"version\":7", "\"version\":null", "version", "is not an integer"),
            ("\"delete_below\"", "\"delete_above\"", "operation", "is not one of put, delete, delete_below"),
            ("\"delete_below\"", "\"delete\"", "text", "is not a string"),
            (
                "\"collection\":\"c\"", "\"collection\":\"a b\"", "collection",
                "is not a name: \(CollectionName.grammar)"
            ),
            ("\"collection\"", "\"tenant\":\"a b\",\"collection\"", "tenant", "is not a name: \(TenantID.grammar)"),
            ("2023-11-14T", "2023-13-14T", "event_time", "is not an RFC 3339 time"),
            ("\"quality_flags\":[]", "\"quality_flags\":{}", "quality_flags", "is not an array"),
            ("\"content_hash\"", "\"hash\"", "content_hash", "is not a string"),
            ("\"parents\":[", "\"parent\":[", "lineage", "is absent or has no parents"),
        ] {
            let broken = line.replacing(old, with: new)
            #expect(broken != line, "\(old)")
            #expect(throws: RecordFormatError("Gold record", field: field, reason: reason), "\(new)") {
                try read(broken)
            }
        }
        let other = line.replacing("\"version\"", with: #""doc_id":"a","text":5,"attributes":[],"version""#)
        #expect(try read(other) == read(line))
    }
}
