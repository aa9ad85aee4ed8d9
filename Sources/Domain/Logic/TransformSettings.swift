import Bytes
package import Records

/// All that decides what the transform makes of a Bronze record; its fingerprint is the logic version.
///
/// A generation stores these settings, so that one binary can run old and new logic side by side.
package struct TransformSettings: Sendable, Equatable {
    /// The transform's code: a number per behaviour that a change of code gave it. Older ones stay selectable.
    package enum CodeVersion: Int64, CaseIterable, Sendable {
        case first = 1
        /// Redriven records have two parents, and are no duplicates of the record that they stand for.
        case second = 2
        /// Every text is bounded, so that what the rules accept can be stored; what a restarted connector repeats is a
        /// duplicate however long the interruption was. Comments are cleaned, and punctuation does not stand twice in a text. What
        /// is particular to changes stands among the attributes of Gold.
        case third = 3

        /// What new generations are made by.
        package static let current = CodeVersion.third

        /// Whether a record's ``RedriveOrigin`` counts.
        package var followsRedrives: Bool { self != .first }

        /// Whether the texts of a change are bounded by ``TextBounds``.
        package var boundsTexts: Bool { rawValue >= Self.third.rawValue }
        /// Whether Silver has the ``CommentText``, of which Gold's text is made.
        package var cleansComments: Bool { rawValue >= Self.third.rawValue }
        /// Where Gold has the attributes of a change.
        package var goldShape: GoldLine.RecentChangeShape {
            rawValue >= Self.third.rawValue ? .attributes : .topLevel
        }
        /// Whether Gold lists the passages of its text; before, the indexer cuts it.
        package var cutsPassages: Bool { rawValue >= Self.third.rawValue }
        /// Whether a record's ``RepeatMark`` counts.
        package var followsRepeatMarks: Bool { rawValue >= Self.third.rawValue }
    }

    /// Which behaviour of the code.
    package var codeVersion: CodeVersion
    /// How the text of a Gold document is made.
    package var template: TextTemplate
    /// Wikis whose changes become Gold, by database name; empty for all.
    package var wikis: [String]
    /// Namespaces whose changes become Gold; empty for all.
    package var namespaces: [Int64]
    /// Whether changes by bots are kept out of Gold.
    package var dropsBots: Bool
    /// The longest text of a Gold document, in Unicode scalars.
    package var contentCharactersMax: Int
    /// Types of change that become Gold.
    package var types: [String]
    /// How far apart two records with one event id may lie for the second to be left out.
    package var duplicates: DuplicateWindow.Limits
    /// How the text is cut; of no effect before transform version 3.
    package var passages: PassageSettings
    /// What a change passes on its way to the index: of the stages those that hang on its text, and the reputation.
    package var stages: DocumentStages

    package init(
        codeVersion: CodeVersion = .current, template: TextTemplate, wikis: [String] = [], namespaces: [Int64] = [],
        dropsBots: Bool = false, contentCharactersMax: Int = 2_000, types: [String] = ["edit", "new"],
        duplicates: DuplicateWindow.Limits = .init(), passages: PassageSettings = .init(),
        stages: DocumentStages = .init()
    ) {
        self.codeVersion = codeVersion
        self.template = template
        self.wikis = Array(Set(wikis)).sorted()
        self.namespaces = Array(Set(namespaces)).sorted()
        self.dropsBots = dropsBots
        self.contentCharactersMax = contentCharactersMax
        self.types = Array(Set(types)).sorted()
        self.duplicates = duplicates
        self.passages = codeVersion.cutsPassages ? passages : .init()
        self.stages = stages
    }

    /// How far before a record an earlier one can decide what becomes of it: what retention keeps of Bronze, and what a
    /// replay reads before its start. Without a bound in time where marked records are not held to it.
    package var duplicateReach: DuplicateWindow.Limits {
        guard codeVersion.followsRepeatMarks || stages.nearDuplicates != nil else { return duplicates }
        // Half, so that times can be added.
        return DuplicateWindow.Limits(
            offsets: max(duplicates.offsets, stages.nearDuplicates?.offsets ?? 0), milliseconds: .max / 2)
    }

    /// The settings as JSON with fixed order: what is stored with a generation and what the fingerprint covers.
    package var canonicalJSON: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("code_version")
        json.integer(codeVersion.rawValue)
        json.key("content_characters_max")
        json.integer(contentCharactersMax)
        json.key("drops_bots")
        json.bool(dropsBots)
        json.key("duplicates_milliseconds")
        json.integer(duplicates.milliseconds)
        json.key("duplicates_offsets")
        json.integer(duplicates.offsets)
        json.key("namespaces")
        json.beginArray()
        for namespace in namespaces { json.integer(namespace) }
        json.endArray()
        if codeVersion.cutsPassages {
            json.integer("passage_overlap", passages.overlap)
            json.integer("passage_weight_max", passages.weightMax)
        }
        stages.write(to: &json)
        json.key("template")
        json.string(template.source)
        json.key("types")
        json.beginArray()
        for type in types { json.string(type) }
        json.endArray()
        json.key("wikis")
        json.beginArray()
        for wiki in wikis { json.string(wiki) }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    /// `v<code version>-<first 12 digits of the SHA-256 of canonicalJSON>`.
    package func logicVersion(hasher: inout some ContentHasher & ~Copyable) throws -> String {
        var digest: [UInt8] = []
        try canonicalJSON.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        return "v\(codeVersion.rawValue)-" + String(decoding: digest.prefix(12), as: UTF8.self)
    }
}
