/// A part of the settings: a struct that holds its values, and the rows of the table that read them.
package protocol SettingsSection: Sendable, CustomStringConvertible {
    /// Its settings, in the reference's order below their headings.
    static var table: [Setting] { get }
}

extension SettingsSection {
    /// The section's name alone: secrets are among the fields.
    package var description: String { "\(Self.self)" }
}

extension Settings {
    /// Every section. A test demands that each of ``Settings``' fields that is one stands here.
    private static let sections: [any SettingsSection.Type] = [
        Source.self, Logic.self, Broker.self, Topics.self, Reading.self, Kafka.self, Folders.self, Lake.self,
        Database.self, Index.self, Fusion.self, Embedding.self, Rerank.self, LanguageModel.self, Answers.self, API.self,
        Caches.self,
        Lanes.self,
        Freshness.self, Access.self, Telemetry.self, Demo.self,
    ]

    /// Every setting, by section.
    package static let table: [Setting] = sections.flatMap { $0.table }
}
