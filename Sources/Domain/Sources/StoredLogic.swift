import JSONScan
package import Logic

/// Logic that cannot be used: which, and why.
package struct LogicError: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

extension LogicSettings {
    /// Reads back ``canonicalJSON``, as generations store it.
    ///
    /// - Parameter kind: as it is stored beside the settings.
    /// - Throws: ``LogicError`` where this binary does not have such logic.
    package init(kind: String, stored: String) throws(LogicError) {
        switch Kind(rawValue: kind) {
        case .recentChange?: self = .recentChange(try TransformSettings(stored: stored))
        case .document?: self = .document(try DocumentSettings(stored: stored))
        case nil:
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw LogicError(
                description: "the stored logic is a \(kind); this binary has \(known): use the release that made it")
        }
    }
}

extension TransformSettings {
    /// Reads back ``canonicalJSON``, as generations store it.
    ///
    /// - Throws: ``LogicError`` where this binary does not have the code version.
    package init(stored: String) throws(LogicError) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(stored.utf8)) } catch {
            throw LogicError(description: "the stored settings are no JSON: \(error)")
        }
        guard let number = value["code_version"]?.integer, let code = CodeVersion(rawValue: number) else {
            let known = CodeVersion.allCases.map { String($0.rawValue) }.joined(separator: ", ")
            throw LogicError(
                description: "the stored settings ask for code version \(value["code_version"]?.integer ?? 0); this "
                    + "binary has \(known): use the release that made them")
        }
        guard let source = value["template"]?.string, let template = try? TextTemplate(source),
            let charactersMax = value["content_characters_max"]?.integer, let dropsBots = value["drops_bots"]?.bool,
            let windowOffsets = value["duplicates_offsets"]?.integer,
            let windowMilliseconds = value["duplicates_milliseconds"]?.integer,
            let namespaces = value["namespaces"]?.array, let types = value["types"]?.array,
            let wikis = value["wikis"]?.array
        else { throw LogicError(description: "the stored settings lack a field: \(stored)") }
        var passages = PassageSettings()
        if code.cutsPassages {
            guard let weight = value["passage_weight_max"]?.integer, let overlap = value["passage_overlap"]?.integer
            else { throw LogicError(description: "the stored settings lack a field: \(stored)") }
            passages = PassageSettings(
                weightMax: Int(clamping: weight), overlap: Int(clamping: overlap))
        }
        self.init(
            codeVersion: code, template: template, wikis: wikis.compactMap(\.string),
            namespaces: namespaces.compactMap(\.integer), dropsBots: dropsBots,
            contentCharactersMax: Int(charactersMax), types: types.compactMap(\.string),
            duplicates: DuplicateWindow.Limits(offsets: windowOffsets, milliseconds: windowMilliseconds),
            passages: passages, stages: DocumentStages(stored: value))
    }
}

extension DocumentStages {
    /// Reads those of a recent change's settings; whether that is all of what is stored, their fingerprint tells.
    fileprivate init(stored value: JSONValue) {
        self.init(
            textCharactersMin: Int(clamping: value["text_characters_min"]?.integer ?? 0),
            reputation: value["reputation"]?.double ?? 1)
        guard let offsets = value["near_duplicates_offsets"]?.integer,
            let milliseconds = value["near_duplicates_milliseconds"]?.integer,
            let distance = value["near_duplicates_distance"]?.integer
        else { return }
        nearDuplicates = NearDuplicateWindow.Limits(
            offsets: offsets, milliseconds: milliseconds, distance: Int(clamping: distance))
    }
}

extension DocumentSettings {
    /// Reads back ``canonicalJSON``, as generations store it.
    ///
    /// - Throws: ``LogicError`` with what this release does not know.
    package init(stored text: String) throws(LogicError) {
        let faults = DeclarationFaults()
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(text.utf8)) } catch {
            throw LogicError(description: "the stored settings are no JSON: \(error)")
        }
        let reader = DeclarationReader(value: value, place: "", faults: faults)
        let isDocument = value["logic"]?.string == Self.kind
        guard isDocument, let settings = LogicReading.document(reader, attributes: [], isStored: true),
            faults.all.isEmpty
        else {
            let reasons = isDocument ? faults.all.map(\.description).joined(separator: "; ") : "no document's: \(text)"
            throw LogicError(description: "the stored settings cannot be read: \(reasons)")
        }
        self = settings
    }
}
