import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Logic
import Records
import Sources
import Store
import Synchronization

/// Documents by their ids, as the index shows them: `GET /documents`, `GET /documents/{doc_id}` and `GET /collections`.
struct DocumentReads: Sendable {
    let access: AccessGuard
    /// Nil in a process without an index.
    let shelf: DocumentShelf?
    let turns: RequestTurns
    private let lanes: LanePool<SearchStore>?
    private let counts = CollectionCounts()

    static let limitMax = DocumentPage.limitMax
    private static let statementMillisecondsMax = 10_000

    /// - Parameter configuration: says how many lanes there are for what is read beside searches.
    init(
        _ configuration: SearchAPIConfiguration, access: AccessGuard, shelf: DocumentShelf?, turns: RequestTurns
    ) {
        self.access = access
        self.shelf = shelf
        self.turns = turns
        lanes = shelf.map { shelf in
            LanePool(
                name: "documents", count: configuration.feedLanes,
                waitMillisecondsMax: configuration.laneWaitMillisecondsMax, make: shelf.makeStore,
                interruption: { $0.interruption })
        }
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.documents, async: { input, request in try await list(input, request) })
        set.add(Contract.documentByID, async: { input, request in try await find(input, request) })
        set.add(Contract.collections, async: { _, request in try await collections(request) })
    }

    /// `GET /documents`
    private func list(_ input: DocumentListInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let collection = try collection(input.collection, of: tenant)
        let after = input.cursor?.docID ?? ""
        let page = try await read(request) { store, timeout in
            try store.documents(
                of: tenant, collection: collection, after: after, limit: input.limit, timeoutMilliseconds: timeout)
        }
        var writer = JSONWriter(capacity: 400 * (page.documents.count + 1))
        writer.beginObject()
        writer.string("collection", collection)
        writer.key("documents")
        writer.beginArray()
        for document in page.documents {
            writer.beginObject()
            writer.document(document)
            writer.endObject()
        }
        writer.endArray()
        writer.key("next_cursor")
        writer.optional(page.next.map { DocumentCursor(docID: $0).text })
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `GET /documents/{doc_id}`
    private func find(_ input: DocumentFindInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let collection = try collection(input.collection, of: tenant)
        let found = try await read(request) { store, timeout in
            try store.document(input.docID, of: tenant, collection: collection, timeoutMilliseconds: timeout)
        }
        guard let found else {
            throw APIError(
                status: 404, type: "not_found",
                message:
                    "the index shows no such document of \(collection); what was written just now may be on its way",
                faults: [
                    InputFault(
                        type: "not_found", location: [.name("path"), .name("doc_id")], message: "names no document",
                        input: .string(input.docID))
                ])
        }
        var writer = JSONWriter(capacity: 1_024 + (found.passagesJSON?.count ?? 0))
        writer.beginObject()
        writer.document(found)
        writer.key("passages")
        writer.raw(found.passagesJSON ?? Array("[]".utf8))
        writer.key("lineage")
        writer.raw(found.first.lineageJSON)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `GET /collections`
    private func collections(_ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let declared = declared(tenant)
        let sizes: [CollectionSize]
        if let known = counts.known(of: tenant, declared.count) {
            sizes = known
        } else {
            let names = declared.map(\.collection.name.text)
            sizes = try await read(request) { store, timeout in
                try store.collectionSizes(of: tenant, names: names, timeoutMilliseconds: timeout)
            }
            counts.note(sizes, of: tenant, declared.count)
        }
        let bySize = Dictionary(sizes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var writer = JSONWriter(capacity: 1_024)
        writer.beginObject()
        writer.key("collections")
        writer.beginArray()
        for source in declared {
            writer.collection(source, bySize[source.collection.name.text])
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }

    // MARK: Parts

    /// A tenant's sources in the order of their collections' names.
    private func declared(_ tenant: TenantID) -> [SourceDeclaration] {
        (shelf?.sources() ?? []).filter { $0.tenant == tenant }
            .sorted { $0.collection.name.text < $1.collection.name.text }
    }

    /// The collection that is meant: the one that is named, else the tenant's only one.
    ///
    /// - Throws: 404 where there is none of that name, 422 where it must be named.
    private func collection(_ name: String?, of tenant: TenantID) throws(EndpointError) -> String {
        if let name {
            guard declared(tenant).contains(where: { $0.collection.name.text == name }) else {
                throw APIError(
                    status: 404, type: "not_found", message: "there is no collection of this name",
                    faults: [
                        InputFault(
                            type: "not_found", location: [.name("query"), .name("collection")],
                            message: "names no collection that is declared", input: .string(name))
                    ])
            }
            return name
        }
        let names = declared(tenant).map(\.collection.name.text)
        guard names.count < 2, let only = names.first else {
            throw .invalid([
                InputFault(
                    type: "missing", location: [.name("query"), .name("collection")],
                    message: names.isEmpty
                        ? "is required" : "is required, since there are several: \(names.joined(separator: ", "))")
            ])
        }
        return only
    }

    private func read<T: Sendable>(
        _ request: HTTPRequest, _ body: @escaping @Sendable (SearchStore, Int) throws -> T
    ) async throws -> T {
        guard let lanes else { throw APIError.unavailable("the index", "this process has none") }
        return try await turns.run(.feed, request) { deadline in
            try await lanes.run(deadline: deadline) { store, timeout in
                try body(store, max(1, min(Self.statementMillisecondsMax, timeout)))
            }
        }
    }
}

/// The last counts of the tenants' collections. Counting looks at thousands of rows, and some seconds make no difference.
private final class CollectionCounts: Sendable {
    private struct Entry {
        var atNanoseconds: Int64
        var declared: Int
        var sizes: [CollectionSize]
    }

    /// As many as there are tenants with a declaration.
    private let entries = Mutex<[TenantID: Entry]>([:])
    private static let nanoseconds: Int64 = 2_000_000_000

    /// - Parameter declared: how many collections there are; with another number of them it is counted again.
    func known(of tenant: TenantID, _ declared: Int) -> [CollectionSize]? {
        guard declared > 0 else { return [] }
        let now = SystemClock.monotonicNanoseconds()
        return entries.withLock { entries in
            entries[tenant].flatMap {
                $0.declared == declared && now - $0.atNanoseconds < Self.nanoseconds ? $0.sizes : nil
            }
        }
    }

    func note(_ sizes: [CollectionSize], of tenant: TenantID, _ declared: Int) {
        let now = SystemClock.monotonicNanoseconds()
        entries.withLock { $0[tenant] = Entry(atNanoseconds: now, declared: declared, sizes: sizes) }
    }
}

/// A place in the list of a collection's documents: behind an id.
struct DocumentCursor: Sendable, Equatable {
    var docID: String

    /// base64url of the id, so that the next request can hold it without escapes.
    var text: String {
        let coded = Base64.string(Array(docID.utf8))
        return "d" + coded.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    init(docID: String) { self.docID = docID }

    init?(text: String) {
        guard text.utf8.first == UInt8(ascii: "d"), text.utf8.count <= 1_400 else { return nil }
        var coded = String(text.dropFirst()).replacing("-", with: "+").replacing("_", with: "/")
        coded += String(repeating: "=", count: (4 - coded.utf8.count % 4) % 4)
        guard let bytes = Base64.bytes(coded.utf8), !bytes.isEmpty,
            bytes.withUnsafeBytes({ UTF8Text.isValid($0) }), !bytes.contains(0)
        else { return nil }
        docID = String(decoding: bytes, as: UTF8.self)
        // One text for each place.
        guard self.text == text else { return nil }
    }
}

extension Form where Value == DocumentCursor {
    /// A `next_cursor` of `GET /documents`.
    static var documentCursor: Form<DocumentCursor> {
        let take: @Sendable (String, inout InputReading) -> DocumentCursor? = { text, reading in
            if let cursor = DocumentCursor(text: text) { return cursor }
            reading.fault("cursor_invalid", "is not a next_cursor of this API", input: .string(text))
            return nil
        }
        return Form(
            schema: .string(pattern: "^d[A-Za-z0-9_-]{2,1399}$"), json: { .string($0.text) },
            read: { value, reading in take(value.string ?? "", &reading) },
            readTexts: { texts, reading in take(texts.first ?? "", &reading) })
    }
}

extension JSONWriter {
    fileprivate mutating func document(_ document: ShownDocument) {
        let first = document.first
        string("doc_id", first.docID)
        integer("version", first.version)
        string("title", first.title)
        string("url", first.url)
        string("lang", first.language)
        key("event_time")
        time(first.eventTimeMilliseconds)
        integer("index_version", document.fromVersion)
        key("attributes")
        first.attributes.append(to: &self)
    }

    /// - Parameter size: nil where it never had a document.
    fileprivate mutating func collection(_ source: SourceDeclaration, _ size: CollectionSize?) {
        beginObject()
        string("name", source.collection.name.text)
        string("source", source.name.text)
        string("connector", source.connector.kind.rawValue)
        integer("documents", size?.documents ?? 0)
        bool("documents_complete", size?.isComplete ?? true)
        integer("passages", size?.passages ?? 0)
        key("fields")
        fields(source)
        key("attributes")
        beginArray()
        for attribute in source.collection.attributes {
            beginObject()
            string("name", attribute.name.text)
            string("type", attribute.type.rawValue)
            bool("filterable", attribute.isFilterable)
            endObject()
        }
        endArray()
        endObject()
    }

    /// Where in an object the fields of a document stand; null for other logic.
    private mutating func fields(_ source: SourceDeclaration) {
        guard case .document(let settings) = source.logic else { return null() }
        beginObject()
        string("id", settings.mapping.id.text)
        key("version")
        optional(settings.mapping.version?.text)
        key("title")
        optional(settings.mapping.title?.text)
        key("text")
        beginArray()
        for path in settings.mapping.texts { string(path.text) }
        endArray()
        endObject()
    }
}
