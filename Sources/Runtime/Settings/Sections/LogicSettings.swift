extension Settings {
    /// The logic of recent changes, where no file declares the sources: all of it is a part of the logic version.
    package struct Logic: Sendable {
        /// Wikis (database names such as `enwiki`) whose events become Gold; empty = all.
        package internal(set) var wikiFilter: [String] = []
        /// Namespaces whose events become Gold; empty = all.
        package internal(set) var allowedNamespaces: [Int] = []
        /// Whether bots' events are kept out of Gold.
        package internal(set) var filtersBots = false
        /// Characters of a document's text.
        package internal(set) var maxContentCharacters = 0
        /// The most that a passage weighs.
        package internal(set) var passageWeightMax = 0
        /// The most of a passage's end, by weight, with which the next one begins.
        package internal(set) var passageOverlap = 0
        /// The template of a document's text.
        package internal(set) var textTemplate = ""
        /// How many offsets back a record's copy is looked for.
        package internal(set) var duplicateWindowOffsets = 0
        /// How many seconds of broker time back a record's copy is looked for.
        package internal(set) var duplicateWindowSeconds = 0
        /// The version of the transform's code.
        package internal(set) var transformVersion = 0
    }
}

extension Settings.Logic: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "WIKI_FILTER", .logic, default: "", .words, \.logic.wikiFilter,
            "Wikis (database names such as `enwiki`) whose events become Gold. Empty: all. Part of the logic version."),
        Setting(
            "ALLOWED_NAMESPACES", .logic, default: "", .integers, \.logic.allowedNamespaces,
            "Namespaces whose events become Gold, such as `0,4`. Empty: all. Part of the logic version."),
        Setting(
            "FILTER_BOTS", .logic, default: "false", .bool, \.logic.filtersBots,
            "Whether bots' events are kept out of Gold. Part of the logic version."),
        Setting(
            "MAX_CONTENT_CHARS", .logic, default: "2000", .integer(50...100_000), \.logic.maxContentCharacters,
            "Characters of a document's text; the rest is cut. Part of the logic version."),
        Setting(
            "PASSAGE_WEIGHT_MAX", .logic, default: "240", .integer(40...240), \.logic.passageWeightMax,
            "The most that a passage weighs: a Latin letter 0.5, a Hangul syllable 3, any other character 1. 240 fits the model's "
                + "256 tokens. Part of the logic version."),
        Setting(
            "PASSAGE_OVERLAP", .logic, default: "48", .integer(0...120), \.logic.passageOverlap,
            "The most of a passage's end, by the same weight, with which the next one begins; at most half of it. Part of the "
                + "logic version."),
        Setting(
            "TEXT_TEMPLATE", .logic,
            default: "{title}[: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)].",
            .text("text with `{title}`, `{comment}`, …; a part in brackets is left out where a field of it is empty"),
            \.logic.textTemplate,
            "The template of a document's text, which is what is searched. Fields: `title`, `comment`, `comment_verbatim`, `user`, "
                + "`wiki`, `domain`, `type`, `delta`; `comment` is without markup from TRANSFORM_VERSION 3 on, "
                + "`comment_verbatim` as it came. Part of the logic version."),
        Setting(
            "DUPLICATE_WINDOW_OFFSETS", .logic, default: "100000", .integer(0...2_000_000),
            \.logic.duplicateWindowOffsets,
            "How many offsets of its topic partition back a record with the same event id makes it a duplicate. Bounds "
                + "the memory, some 100 bytes each per topic partition. Part of the logic version."),
        Setting(
            "DUPLICATE_WINDOW_SEC", .logic, default: "3600", .integer(0...31_536_000), \.logic.duplicateWindowSeconds,
            "How far back such a record may lie in broker time, in seconds. From TRANSFORM_VERSION 3 on not for records that "
                + "the producer may have sent before an interruption. Part of the logic version."),
        Setting(
            "TRANSFORM_VERSION", .logic, default: "3", .integer(1...3), \.logic.transformVersion,
            "Version of the transform's code. 1 knows no redriven records, 1 and 2 bound no texts and clean no comments; they "
                + "keep a lake going that an older release made. Part of the logic version."),
    ]
}
