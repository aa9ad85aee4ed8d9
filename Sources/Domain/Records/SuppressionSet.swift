/// What a document tells of itself to those who look whether it is suppressed.
package struct SuppressionSubject: Sendable, Equatable {
    package var topicPartition: TopicPartition
    package var offset: Int64
    package var eventID: String?
    package var collection: String
    package var title: String?
    package var docID: String?
    package var user: String?
    package var wiki: String?

    package init(
        topicPartition: TopicPartition, offset: Int64, eventID: String? = nil, collection: String,
        title: String? = nil, docID: String? = nil, user: String? = nil, wiki: String? = nil
    ) {
        self.topicPartition = topicPartition
        self.offset = offset
        self.eventID = eventID
        self.collection = collection
        self.title = title
        self.docID = docID
        self.user = user
        self.wiki = wiki
    }
}

/// A tenant's suppressions in force, found by what they name.
package struct SuppressionSet: Sendable, Equatable {
    private var byName: [String: [SuppressionTarget]] = [:]
    /// Of one topic there may be many.
    private var events: Set<SuppressionTarget> = []
    /// Records that are erased, in order and apart from one another: of what was made of them a topic may still have something.
    private var erased: [TopicPartition: [OffsetRange]] = [:]

    /// None.
    package init() {}

    /// - Parameter erased: records that nothing is to be shown of, whatever they say.
    package init(
        _ targets: some Sequence<SuppressionTarget>, erased: [TopicPartition: [OffsetRange]] = [:]
    ) {
        self.erased = erased.mapValues(OffsetRange.joined)
        for target in targets {
            if target.kind == .event { events.insert(target) } else { byName[target.name, default: []].append(target) }
        }
    }

    /// Whether nothing is suppressed.
    package var isEmpty: Bool { byName.isEmpty && events.isEmpty && erased.isEmpty }

    /// Whether a document is not to be shown; the index's statements ask the same of their rows.
    package func covers(_ subject: SuppressionSubject) -> Bool {
        if isEmpty { return false }
        if isErased(subject) { return true }
        if !events.isEmpty, events.contains(.event(subject.topicPartition, offset: subject.offset)) { return true }
        let names = [subject.eventID, subject.title, subject.docID, subject.user]
        return names.contains { name in
            guard let name, let targets = byName[name] else { return false }
            return targets.contains { Self.covers($0, subject) }
        }
    }

    private func isErased(_ subject: SuppressionSubject) -> Bool {
        guard let ranges = erased[subject.topicPartition] else { return false }
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].end <= subject.offset { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(subject.offset)
    }

    private static func covers(_ target: SuppressionTarget, _ subject: SuppressionSubject) -> Bool {
        switch target {
        case .event: false
        case .eventID(let id): id == subject.eventID
        case .page(let collection, let title, let wiki):
            title == subject.title && collection == subject.collection && (wiki == nil || wiki == subject.wiki)
        case .document(let collection, let id): id == subject.docID && collection == subject.collection
        case .user(let collection, let name): name == subject.user && collection == subject.collection
        }
    }
}
