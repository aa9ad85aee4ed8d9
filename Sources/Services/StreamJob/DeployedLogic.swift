package import Logic
package import Settings
package import Sources

extension TransformSettings {
    /// The settings of this deployment.
    ///
    /// - Throws: ``LogicError`` naming the variable.
    package init(_ settings: Settings) throws(LogicError) {
        guard let code = CodeVersion(rawValue: Int64(settings.logic.transformVersion)) else {
            throw LogicError(
                description: "TRANSFORM_VERSION=\(settings.logic.transformVersion): this binary does not have it")
        }
        do throws(TextTemplate.Fault) {
            self.init(
                codeVersion: code, template: try TextTemplate(settings.logic.textTemplate),
                wikis: settings.logic.wikiFilter,
                namespaces: settings.logic.allowedNamespaces.map(Int64.init), dropsBots: settings.logic.filtersBots,
                contentCharactersMax: settings.logic.maxContentCharacters,
                duplicates: DuplicateWindow.Limits(
                    offsets: Int64(settings.logic.duplicateWindowOffsets),
                    milliseconds: Int64(settings.logic.duplicateWindowSeconds) * 1_000),
                passages: PassageSettings(
                    weightMax: settings.logic.passageWeightMax,
                    overlap: min(
                        settings.logic.passageOverlap, PassageSettings.overlapMax(settings.logic.passageWeightMax))))
        } catch {
            throw LogicError(description: "TEXT_TEMPLATE: \(error)")
        }
    }
}
