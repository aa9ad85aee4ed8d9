import Bytes
import JSONScan
package import Lake
import Logic
package import Records
import Sources

extension ErasureMatch {
    /// Looks where the stored logic of a topic has title, user and wiki; a record is an erasure's if any generation that makes documents
    /// of the collection finds the name there, and so is one of which such a line was made.
    ///
    /// One thread's.
    ///
    /// - Throws: ``LakeError/erasure(_:)`` where a stored logic cannot be read.
    package init(
        _ erasure: Erasure, topic: String, generations: [LakeGeneration]
    ) throws(LakeError) {
        do {
            let matcher = try RecordMatcher(erasure, topic: topic, generations: generations)
            self.init(record: { matcher.matches($0) }, derived: { matcher.matches(derived: $0) })
        } catch {
            throw .erasure("what the erasure \(erasure.id) means in the topic \(topic) is not known: \(error)")
        }
    }
}

extension ErasureTarget {
    /// By the name itself, which the value does not keep.
    ///
    /// - Returns: nil where the name or the collection is empty, or a user is given a wiki.
    package init?(kind: Kind, collection: String, name: String, wiki: String? = nil) {
        var digest: [UInt8] = []
        guard !name.isEmpty, var hasher = try? LibraryHasher(),
            (try? Array(name.utf8).withUnsafeBytes { try hasher.appendHexDigest(of: $0, to: &digest) }) != nil
        else { return nil }
        self.init(
            kind: kind, collection: collection, nameSHA256: String(decoding: digest, as: UTF8.self), wiki: wiki)
    }
}

extension LakeGeneration {
    /// Whether the generation makes documents of a tenant's collection of a topic's records.
    package func makes(_ collection: String, of tenant: TenantID, from topic: String) -> Bool {
        guard let made = logic.logic(of: topic) else { return false }
        return made.tenant == tenant.text && made.collection == collection
    }
}

/// Finds a name in records. One thread's.
private final class RecordMatcher {
    private let target: ErasureTarget
    private let digest: [UInt8]
    private let wiki: [UInt8]?
    private var parser: JSONFieldParser
    private var hasher: LibraryHasher
    private var found: [UInt8] = []
    /// For each way of mapping: where the name stands among the parser's fields, and where the wiki does.
    private var places: [(name: Int, wiki: Int?)] = []

    init(_ erasure: Erasure, topic: String, generations: [LakeGeneration]) throws {
        target = erasure.target
        digest = Array(erasure.target.nameSHA256.utf8)
        wiki = erasure.target.wiki.map { Array($0.utf8) }
        var paths: [String] = []
        var places: [(name: Int, wiki: Int?)] = []
        func place(_ path: String) -> Int {
            if let known = paths.firstIndex(of: path) { return known }
            paths.append(path)
            return paths.count - 1
        }
        for generation in generations where generation.makes(target.collection, of: erasure.tenant, from: topic) {
            guard let logic = try generation.logic.logic(of: topic)?.read() else { continue }
            let (name, wiki) = Self.paths(logic, target.kind)
            if let name { places.append((place(name), wiki.map(place))) }
        }
        parser = try JSONFieldParser(paths: paths)
        hasher = try LibraryHasher()
        self.places = places
    }

    private static func paths(_ logic: LogicSettings, _ kind: ErasureTarget.Kind) -> (name: String?, wiki: String?) {
        switch (logic, kind) {
        case (.recentChange, .page): return (RecentChangeField.title.path, RecentChangeField.wiki.path)
        case (.recentChange, .user): return (RecentChangeField.user.path, nil)
        case (.document(let settings), _):
            func attribute(_ name: String) -> String? {
                settings.attributes.first { $0.name.text == name }?.path.text
            }
            return kind == .page ? (settings.mapping.title?.text, attribute("wiki")) : (attribute("user"), nil)
        }
    }

    func matches(_ record: BronzeRecord) -> Bool {
        guard !places.isEmpty, let value = record.value, value.withUnsafeBytes({ parser.parseObject($0) }) == nil else {
            return false
        }
        return places.contains { place in
            let name = parser.field(place.name)
            guard name.kind == .string, isName(UnsafeRawBufferPointer(name.text)) else { return false }
            guard let wiki else { return true }
            guard let index = place.wiki else { return false }
            let field = parser.field(index)
            return field.kind == .string && field.text.elementsEqual(wiki)
        }
    }

    func matches(derived line: ArraySlice<UInt8>) -> Bool {
        line.withUnsafeBytes { bytes in
            var (isName, isWiki) = (false, wiki == nil)
            func look(_ name: JSONSlice, _ value: JSONSlice) {
                let isOne = target.kind == .page ? name.equals("title") : name.equals("user")
                if isOne, value.kind == .string {
                    if value.withText({ self.isName($0) }) { isName = true }
                } else if let wiki, name.equals("wiki"), value.equals(wiki) {
                    isWiki = true
                }
            }
            try? JSONLine.forEachMember(of: bytes) { name, value in
                look(name, value)
                // Where a Gold line has what is particular to a collection.
                guard name.equals("attributes"), value.kind == .object else { return }
                value.forEachMember { inner, attribute in
                    if !inner.equals("title") { look(inner, attribute) }
                }
            }
            return isName && isWiki
        }
    }

    private func isName(_ text: UnsafeRawBufferPointer) -> Bool {
        found.removeAll(keepingCapacity: true)
        guard (try? hasher.appendHexDigest(of: text, to: &found)) != nil else { return false }
        return found == digest
    }
}
