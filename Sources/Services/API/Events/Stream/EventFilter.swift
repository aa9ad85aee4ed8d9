/// Which events a client of the stream wants.
struct EventFilter: Sendable {
    private let wikis: Set<String>
    private let languages: Set<String>
    private let types: Set<String>
    private let namespaces: Set<Int64>
    private let isBot: Bool?
    private let collection: String?
    /// In lower case.
    private let text: [UInt8]?
    /// Whether nothing is left out.
    let takesAll: Bool

    init(_ filters: EventFilters) {
        wikis = Set(filters.index.wikis)
        languages = Set(filters.index.languages)
        types = Set(filters.index.types)
        namespaces = Set(filters.namespaces.map(Int64.init))
        isBot = filters.index.isBot
        collection = filters.index.collection
        text = filters.text.map(FoldedText.fold)
        takesAll =
            wikis.isEmpty && languages.isEmpty && types.isEmpty && namespaces.isEmpty && isBot == nil
            && collection == nil && text == nil
    }

    func takes(_ event: TopicEvent) -> Bool {
        takesAll
            || (Self.holds(wikis, event.wiki) && Self.holds(languages, event.language) && Self.holds(types, event.type)
                && (namespaces.isEmpty || event.namespace.map(namespaces.contains) ?? false)
                && (isBot ?? event.isBot) == event.isBot && (collection ?? event.collection) == event.collection
                // Last, since it costs the most.
                && (text.map(event.text.holds) ?? true))
    }

    private static func holds(_ wanted: Set<String>, _ value: String) -> Bool {
        wanted.isEmpty || wanted.contains(value)
    }

    /// Whether a step may be shown: a record that was only received tells some of its fields, and only those are compared.
    func takes(_ step: StageStep) -> Bool {
        if let event = step.event { return takes(event) }
        func holds(_ wanted: Set<String>, _ value: String?) -> Bool {
            value.map { Self.holds(wanted, $0) } ?? true
        }
        return holds(wikis, step.wiki) && holds(types, step.type)
            && (namespaces.isEmpty || step.namespace.map(namespaces.contains) ?? true)
            && (step.isBot ?? isBot) == (isBot ?? step.isBot)
    }
}

/// Text filters of pages that come from the index, which narrows by everything else.
struct EventTextFilter: Sendable {
    private let namespaces: Set<Int64>
    private let text: [UInt8]?

    init(_ filters: EventFilters) {
        namespaces = Set(filters.namespaces.map(Int64.init))
        text = filters.text.map(FoldedText.fold)
    }

    var takesAll: Bool { namespaces.isEmpty && text == nil }

    func takes(text given: String, namespace: Int64?) -> Bool {
        (namespaces.isEmpty || namespace.map(namespaces.contains) ?? false)
            && (text.map(FoldedText(given).holds) ?? true)
    }
}
