extension Settings {
    /// Whether questions are answered, and how long answers are kept.
    package struct Answers: Sendable {
        /// Whether `/answer` answers.
        package internal(set) var isEnabled = false
        /// Days that given answers are kept; 0 = for ever.
        package internal(set) var retentionDays = 0
        /// Answers that are kept; 0 = any number.
        package internal(set) var rowsMax = 0
        /// Bytes of the answers that are kept; 0 = any number.
        package internal(set) var bytesMax = 0
    }
}

extension Settings.Answers: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "ANSWER_ENABLED", .models, default: "true", .bool, \.answers.isEnabled, "Whether `/answer` answers."),
        Setting(
            "ANSWER_RETENTION_DAYS", .models, default: "30", .integer(0...36_500), \.answers.retentionDays,
            "How long given answers can be traced; older ones are removed. 0: for ever."),
        Setting(
            "ANSWERS_MAX_ROWS", .models, default: "100000", .integer(0...1_000_000_000), \.answers.rowsMax,
            "Answers that are kept, refusals included; beyond it the oldest go. Those given without a key go first while they "
                + "are more than half. 0: any number."),
        Setting(
            "ANSWERS_MAX_BYTES", .models, default: "1073741824", .integer(0...1_125_899_906_842_624),
            \.answers.bytesMax,
            "The same for their bytes, before compression; one answer has 64 KiB at most. 0: any number."),
    ]
}
