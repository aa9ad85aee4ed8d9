import JSONScan
package import Logic

/// Transform settings that cannot be used: which, and why.
package struct TransformSettingsError: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

extension TransformSettings {
    /// Reads back ``canonicalJSON``, as generations store it.
    ///
    /// - Throws: ``TransformSettingsError`` where this binary does not have the code version.
    package init(stored: String) throws(TransformSettingsError) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(stored.utf8)) } catch {
            throw TransformSettingsError(description: "the stored settings are no JSON: \(error)")
        }
        guard let number = value["code_version"]?.integer, let code = CodeVersion(rawValue: number) else {
            let known = CodeVersion.allCases.map { String($0.rawValue) }.joined(separator: ", ")
            throw TransformSettingsError(
                description: "the stored settings ask for code version \(value["code_version"]?.integer ?? 0); this "
                    + "binary has \(known): use the release that made them")
        }
        guard let source = value["template"]?.string, let template = try? TextTemplate(source),
            let charactersMax = value["content_characters_max"]?.integer, let dropsBots = value["drops_bots"]?.bool,
            let windowOffsets = value["duplicates_offsets"]?.integer,
            let windowMilliseconds = value["duplicates_milliseconds"]?.integer,
            let namespaces = value["namespaces"]?.array, let types = value["types"]?.array,
            let wikis = value["wikis"]?.array
        else { throw TransformSettingsError(description: "the stored settings lack a field: \(stored)") }
        self.init(
            codeVersion: code, template: template, wikis: wikis.compactMap(\.string),
            namespaces: namespaces.compactMap(\.integer), dropsBots: dropsBots,
            contentCharactersMax: Int(charactersMax), types: types.compactMap(\.string),
            duplicates: DuplicateWindow.Limits(offsets: windowOffsets, milliseconds: windowMilliseconds))
    }
}
