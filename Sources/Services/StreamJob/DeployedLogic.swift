package import Derivation
package import Logic
package import Settings

extension TransformSettings {
    /// The settings of this deployment.
    ///
    /// - Throws: ``TransformSettingsError`` naming the variable.
    package init(_ settings: Settings) throws(TransformSettingsError) {
        guard let code = CodeVersion(rawValue: Int64(settings.transformVersion)) else {
            throw TransformSettingsError(
                description: "TRANSFORM_VERSION=\(settings.transformVersion): this binary does not have it")
        }
        do throws(TextTemplate.Fault) {
            self.init(
                codeVersion: code, template: try TextTemplate(settings.textTemplate), wikis: settings.wikiFilter,
                namespaces: settings.allowedNamespaces.map(Int64.init), dropsBots: settings.filtersBots,
                contentCharactersMax: settings.maxContentCharacters,
                duplicates: DuplicateWindow.Limits(
                    offsets: Int64(settings.duplicateWindowOffsets),
                    milliseconds: Int64(settings.duplicateWindowSeconds) * 1_000))
        } catch {
            throw TransformSettingsError(description: "TEXT_TEMPLATE: \(error)")
        }
    }
}
