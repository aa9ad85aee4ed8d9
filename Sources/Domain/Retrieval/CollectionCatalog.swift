package import Records
import Synchronization

/// What a tenant's collections declare of attributes, by their names.
package struct DeclaredAttributes: Sendable {
    /// Whose collections these are; nobody else's attributes are known here.
    package let tenant: TenantID
    private let collections: [String: [AttributeName: AttributeDeclaration]]
    /// By collection, what the scores of its documents are multiplied by; none of those where that is 1.
    package let reputations: [String: Double]

    /// What every document has.
    package static let common = [
        AttributeDeclaration(.collection, .string), AttributeDeclaration(.eventTime, .time),
        AttributeDeclaration(.lang, .string),
    ]

    /// Of two collections of one name the attributes of both count.
    package init(_ collections: [CollectionDeclaration], of tenant: TenantID = .standard) {
        self.tenant = tenant
        var all: [String: [AttributeName: AttributeDeclaration]] = [:]
        for collection in collections {
            for attribute in collection.attributes {
                all[collection.name.text, default: [:]][attribute.name] = attribute
            }
        }
        self.collections = all
        reputations = Dictionary(
            collections.filter { $0.reputation != 1 }.map { ($0.name.text, $0.reputation) }, uniquingKeysWith: { $1 })
    }

    /// How an attribute is declared, each type once: by those of some collections that are known, or by all. Collections may
    /// declare it differently, so that there may be several; none where nobody declares it.
    package func declarations(of name: AttributeName, in scope: [String]? = nil) -> [AttributeDeclaration] {
        if let common = Self.common.first(where: { $0.name == name }) { return [common] }
        let known = scope.map { scope in collections.filter { scope.contains($0.key) } } ?? collections
        var found: [AttributeType: AttributeDeclaration] = [:]
        for collection in (known.isEmpty ? collections : known).values {
            guard let declared = collection[name] else { continue }
            // What one of them lets be asked may be asked.
            if found[declared.type].map({ !$0.isFilterable }) ?? true { found[declared.type] = declared }
        }
        return found.values.sorted { $0.type.rawValue < $1.type.rawValue }
    }
}

extension DeclaredAttributes {
    /// The attributes that are texts and may be asked for, of those of some collections that are known, or of all.
    package func filterableTexts(in scope: [String]? = nil) -> Set<AttributeName> {
        let names = Set(Self.common.map(\.name) + collections.values.flatMap(\.keys))
        return names.filter { name in
            declarations(of: name, in: scope).contains { $0.type == .string && $0.isFilterable }
        }
    }
}

/// The collections that a process knows, by their tenants. Their declarations may be read anew while it runs.
package final class CollectionCatalog: Sendable {
    private let state: Mutex<State>

    private struct State: Sendable {
        var declared: [TenantID: DeclaredAttributes] = [:]
        var tenants: Set<TenantID> = []

        mutating func take(_ collections: [TenantID: [CollectionDeclaration]]) {
            declared = Dictionary(
                uniqueKeysWithValues: collections.map { ($0, DeclaredAttributes($1, of: $0)) })
            tenants.formUnion(collections.keys)
        }
    }

    package init(_ collections: [TenantID: [CollectionDeclaration]]) {
        var first = State()
        first.take(collections)
        state = Mutex(first)
    }

    /// Of the standard tenant alone.
    package convenience init(_ collections: [CollectionDeclaration]) {
        self.init([.standard: collections])
    }

    /// Of one collection of recent changes.
    package static func recentChanges(_ name: String = "wikimedia.recentchange") -> CollectionCatalog {
        let name = CollectionName(name)
        return CollectionCatalog(
            name.map { [CollectionDeclaration(name: $0, attributes: CollectionDeclaration.recentChangeAttributes)] }
                ?? [])
    }

    /// What is declared for a tenant now; nothing where nobody declares anything for it.
    package func declared(of tenant: TenantID) -> DeclaredAttributes {
        state.withLock { $0.declared[tenant] } ?? DeclaredAttributes([], of: tenant)
    }

    /// All tenants for which something was declared since the process began. None of them goes again: figures and errors of the
    /// process may name what was theirs.
    package var tenants: Set<TenantID> { state.withLock { $0.tenants } }

    /// From now on these are the collections.
    package func replace(with collections: [TenantID: [CollectionDeclaration]]) {
        state.withLock { $0.take(collections) }
    }
}

extension Candidate: FilterSubject {
    package func value(of attribute: AttributeName) -> AttributeValue? {
        if attribute == .collection { return .string(collection) }
        if attribute == .eventTime { return .time(eventTimeMilliseconds) }
        if attribute == .lang { return .string(language) }
        return attributes.value(of: attribute)
    }
}

extension Candidate {
    /// What replies have shown of recent changes from the beginning.
    package struct RecentChange: Sendable {
        package let wiki: String
        package let type: String
        package let user: String
        package let isBot: Bool
    }

    /// Nil where it is no document of recent changes, all of which have these.
    package var recentChange: RecentChange? {
        guard case .string(let wiki)? = attributes.value(of: .wiki),
            case .string(let type)? = attributes.value(of: .type),
            case .string(let user)? = attributes.value(of: .user),
            case .bool(let isBot)? = attributes.value(of: .isBot)
        else { return nil }
        return RecentChange(wiki: wiki, type: type, user: user, isBot: isBot)
    }
}
