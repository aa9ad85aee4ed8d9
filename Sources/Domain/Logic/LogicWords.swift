import Records

/// One setting of a logic as people read it.
package struct LogicSetting: Sendable, Equatable {
    /// What a setting holds.
    package enum Value: Sendable, Equatable {
        case text(String)
        /// A set of words; the second is said where it is empty.
        case list([String], none: String)

        /// For people.
        package var words: String {
            switch self {
            case .text(let text): text
            case .list(let list, let none): list.isEmpty ? none : list.joined(separator: ", ")
            }
        }
    }

    /// As declarations and stored settings call it; a member of a member after a dot.
    package let name: String
    /// What it decides.
    package let meaning: String
    /// What it is set to.
    package let value: Value

    init(_ name: String, _ meaning: String, _ value: Value) {
        self.name = name
        self.meaning = meaning
        self.value = value
    }

    fileprivate init(_ name: String, _ meaning: String, _ value: some CustomStringConvertible, unit: String = "") {
        self.init(name, meaning, .text(unit.isEmpty ? "\(value)" : "\(value) \(unit)"))
    }
}

/// One setting in which two logics differ.
package struct LogicChange: Sendable, Equatable {
    /// As declarations and stored settings call it.
    package let setting: String
    /// What it decides.
    package let meaning: String
    /// In words; nil where only the other logic has the setting.
    package let before: String?
    /// The same of the other logic.
    package let after: String?
    /// All of it in one line.
    package let sentence: String
}

extension LogicSettings {
    /// Every setting in words, in a fixed order.
    package var inWords: [LogicSetting] {
        switch self {
        case .recentChange(let settings): settings.inWords
        case .document(let settings): settings.inWords
        }
    }

    /// What differs from this logic to another one; empty where they make the same lines.
    package func changes(to other: LogicSettings) -> [LogicChange] {
        let (before, after) = (inWords, other.inWords)
        var changes: [LogicChange] = []
        if kind != other.kind {
            changes.append(
                LogicChange(
                    setting: "type", meaning: "kind of logic", before: kind.rawValue, after: other.kind.rawValue,
                    sentence: "kind of logic: \(kind.rawValue) → \(other.kind.rawValue)"))
        }
        for setting in before {
            let next = after.first { $0.name == setting.name }
            guard next?.value != setting.value else { continue }
            changes.append(LogicChange(from: setting, to: next))
        }
        for setting in after where !before.contains(where: { $0.name == setting.name }) {
            changes.append(LogicChange(from: nil, to: setting))
        }
        return changes
    }
}

extension LogicChange {
    /// One of the two is there.
    fileprivate init(from before: LogicSetting?, to after: LogicSetting?) {
        let meaning = before?.meaning ?? after?.meaning ?? ""
        let change: String
        switch (before?.value, after?.value) {
        case (.list(let old, _)?, .list(let new, _)?) where !old.isEmpty && !new.isEmpty:
            let (added, dropped) = (new.filter { !old.contains($0) }, old.filter { !new.contains($0) })
            let parts = [
                added.isEmpty ? "" : "adds \(added.joined(separator: ", "))",
                dropped.isEmpty ? "" : "drops \(dropped.joined(separator: ", "))",
            ]
            let words = parts.filter { !$0.isEmpty }.joined(separator: "; ")
            change = words.isEmpty ? "in another order: \(new.joined(separator: ", "))" : words
        case (let old?, let new?): change = "\(old.words) → \(new.words)"
        case (nil, let new?): change = "new: \(new.words)"
        case (let old?, nil): change = "gone (was \(old.words))"
        case (nil, nil): change = ""
        }
        self.init(
            setting: before?.name ?? after?.name ?? "", meaning: meaning, before: before?.value.words,
            after: after?.value.words, sentence: "\(meaning): \(change)")
    }
}

extension TransformSettings {
    fileprivate var inWords: [LogicSetting] {
        var settings: [LogicSetting] = [
            .init("code_version", "version of the transform's code", codeVersion.rawValue),
            .init("template", "template of the text", "“\(template.source)”"),
            .init("wikis", "wikis whose changes become documents", .list(wikis, none: "all")),
            .init(
                "namespaces", "namespaces whose changes become documents",
                .list(namespaces.map { "\($0)" }, none: "all")),
            .init("types", "types of change that become documents", .list(types, none: "none")),
            .init("drops_bots", "changes by bots", dropsBots ? "left out" : "kept"),
            .init("content_characters_max", "longest text", contentCharactersMax, unit: "characters"),
        ]
        settings += duplicates.inWords
        // Before, the indexer cut the text, whatever these said.
        if codeVersion.cutsPassages { settings += passages.inWords }
        return settings + stages.inWords
    }
}

extension DocumentSettings {
    fileprivate var inWords: [LogicSetting] {
        let places: [(name: String, meaning: String, path: FieldPath?)] = [
            ("id", "where the document's id stands", mapping.id),
            ("version", "where the version stands", mapping.version),
            ("title", "where the title stands", mapping.title),
            ("url", "where the address stands", mapping.url),
            ("lang", "where the language stands", mapping.lang),
            ("time", "where the time stands", mapping.time),
            ("deleted", "what says that the document is deleted", mapping.deleted),
            ("truncated", "what says that all older documents are deleted", mapping.truncated),
        ]
        var settings: [LogicSetting] = [
            .init("code_version", "version of the transform's code", codeVersion.rawValue)
        ]
        if let envelope { settings.append(.init("envelope", "what the document's object lies in", envelope.rawValue)) }
        for place in places {
            guard let path = place.path else { continue }
            settings.append(.init("fields.\(place.name)", place.meaning, path))
        }
        settings.append(
            .init("fields.text", "where the searched texts stand", .list(mapping.texts.map(\.text), none: "nowhere")))
        for attribute in attributes {
            settings.append(
                .init(
                    "attributes.\(attribute.name.text)", "attribute \(attribute.name.text)",
                    "\(attribute.type.rawValue) at \(attribute.path)"))
        }
        settings.append(.init("content_characters_max", "longest text", contentCharactersMax, unit: "characters"))
        return settings + duplicates.inWords + passages.inWords + stages.inWords
    }
}

extension DocumentStages {
    /// What is declared: without any of it nothing is said.
    fileprivate var inWords: [LogicSetting] {
        var settings: [LogicSetting] = []
        if !passesOver.isEmpty {
            settings.append(
                .init(
                    "passes_over", "records that are about nothing",
                    .list(passesOver.map { "\($0.path) is \($0.value.words)" }, none: "none")))
        }
        if textCharactersMin > 0 {
            settings.append(
                .init("text_characters_min", "shortest text that is kept", textCharactersMin, unit: "characters"))
        }
        if let nearDuplicates {
            settings.append(
                .init(
                    "near_duplicates_offsets",
                    "offsets of a block within which a document of nearly equal text is left out",
                    nearDuplicates.offsets))
            settings.append(
                .init(
                    "near_duplicates_milliseconds", "time within which it is left out", nearDuplicates.milliseconds,
                    unit: "ms"))
            settings.append(
                .init(
                    "near_duplicates_distance", "bits in which fingerprints of nearly equal texts differ at most",
                    nearDuplicates.distance))
        }
        if detectsLanguage {
            settings.append(.init("detects_language", "language that is not told", "found by the text"))
        }
        if reputation != 1 {
            settings.append(
                .init("reputation", "what scores are multiplied by", CanonicalNumber.text(reputation)))
        }
        return settings
    }
}

extension DuplicateWindow.Limits {
    fileprivate var inWords: [LogicSetting] {
        [
            .init("duplicates_offsets", "offsets within which a repeated event id is left out", offsets),
            .init("duplicates_milliseconds", "time within which it is left out", milliseconds, unit: "ms"),
        ]
    }
}

extension PassageSettings {
    fileprivate var inWords: [LogicSetting] {
        [
            .init("passage_weight_max", "largest weight of a passage", weightMax),
            .init("passage_overlap", "weight that two passages share", overlap),
        ]
    }
}
