package import Logic
package import Settings
package import Sources

extension TransformSettings {
    /// The settings of this deployment.
    ///
    /// - Throws: ``LogicError`` naming the variable.
    package init(_ settings: Settings) throws(LogicError) {
        guard let code = CodeVersion(rawValue: Int64(settings.transformVersion)) else {
            throw LogicError(
                description: "TRANSFORM_VERSION=\(settings.transformVersion): this binary does not have it")
        }
        do throws(TextTemplate.Fault) {
            self.init(
                codeVersion: code, template: try TextTemplate(settings.textTemplate), wikis: settings.wikiFilter,
                namespaces: settings.allowedNamespaces.map(Int64.init), dropsBots: settings.filtersBots,
                contentCharactersMax: settings.maxContentCharacters,
                duplicates: DuplicateWindow.Limits(
                    offsets: Int64(settings.duplicateWindowOffsets),
                    milliseconds: Int64(settings.duplicateWindowSeconds) * 1_000),
                passages: PassageSettings(
                    weightMax: settings.passageWeightMax,
                    overlap: min(settings.passageOverlap, PassageSettings.overlapMax(settings.passageWeightMax))))
        } catch {
            throw LogicError(description: "TEXT_TEMPLATE: \(error)")
        }
    }
}
