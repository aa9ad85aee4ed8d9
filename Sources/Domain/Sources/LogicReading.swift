import JSONScan
import Logic
import Records

/// Logic that is written as JSON: in a declaration, in a file for a replay, or with a generation.
enum LogicReading {
    /// The member `type` of a declaration.
    static func kind(_ reader: DeclarationReader) -> LogicSettings.Kind? {
        guard case .object = reader.value else {
            reader.fault("must be an object with a member \"type\"")
            return nil
        }
        guard let word = reader.value["type"] else {
            reader.fault("lacks the member \"type\"")
            return nil
        }
        return DeclarationReader(value: word, place: reader.place + ".type", faults: reader.faults)
            .choice(LogicSettings.Kind.self)
    }

    /// A declaration's logic; members that are left out have the defaults.
    ///
    /// - Parameter attributes: those of the collection, for documents.
    static func declared(
        _ kind: LogicSettings.Kind, _ reader: DeclarationReader, attributes: [MappedAttribute],
        defaults: TransformSettings
    ) -> LogicSettings? {
        switch kind {
        case .recentChange: recentChange(reader, defaults: defaults).map(LogicSettings.recentChange)
        case .document: document(reader, attributes: attributes).map(LogicSettings.document)
        }
    }

    // MARK: Recent changes

    private static func recentChange(_ reader: DeclarationReader, defaults: TransformSettings) -> TransformSettings? {
        guard
            let members = reader.members(
                required: ["type"],
                optional: [
                    "code_version", "template", "wikis", "namespaces", "drops_bots", "types",
                    "content_characters_max", "duplicates_offsets", "duplicates_milliseconds",
                    "passage_weight_max", "passage_overlap",
                ] + textStageMembers)
        else { return nil }
        let before = reader.faults.all.count
        var settings = defaults
        if let version = members["code_version"] {
            guard let number = version.integer(1...TransformSettings.CodeVersion.current.rawValue),
                let code = TransformSettings.CodeVersion(rawValue: number)
            else { return nil }
            settings.codeVersion = code
        }
        if let template = members["template"], let text = template.text(bytesMax: 4_096) {
            do throws(TextTemplate.Fault) { settings.template = try TextTemplate(text) } catch {
                template.fault("\(error)")
            }
        }
        if let wikis = members["wikis"] { settings.wikis = wikis.words() }
        if let types = members["types"] { settings.types = types.words() }
        if let namespaces = members["namespaces"] {
            settings.namespaces = (namespaces.elements(0...1_000) ?? []).compactMap {
                $0.integer(Int64(Int32.min)...Int64(Int32.max))
            }
        }
        if let flag = members["drops_bots"]?.bool() { settings.dropsBots = flag }
        if let count = members["content_characters_max"]?.integer(contentCharacters) {
            settings.contentCharactersMax = Int(count)
        }
        settings.duplicates = limits(members, defaults.duplicates)
        settings.passages = passages(members, defaults.passages)
        settings.stages = stages(members)
        guard reader.faults.all.count == before else { return nil }
        // Once more through the initializer, which puts lists in their order.
        return TransformSettings(
            codeVersion: settings.codeVersion, template: settings.template, wikis: settings.wikis,
            namespaces: settings.namespaces, dropsBots: settings.dropsBots,
            contentCharactersMax: settings.contentCharactersMax, types: settings.types,
            duplicates: settings.duplicates, passages: settings.passages, stages: settings.stages)
    }

    // MARK: Documents

    private static let contentCharacters: ClosedRange<Int64> = 50...100_000

    static func document(
        _ reader: DeclarationReader, attributes: [MappedAttribute], isStored: Bool = false
    ) -> DocumentSettings? {
        // What a generation stores has another name for the kind, and the attributes, too.
        let required =
            isStored
            ? ["logic", "fields", "attributes", "code_version", "passage_weight_max", "passage_overlap"]
            : ["type", "fields"]
        let optional =
            [
                "content_characters_max", "duplicates_offsets", "duplicates_milliseconds", "envelope",
                "passage_weight_max",
                "passage_overlap",
            ] + stageMembers
        guard
            let members = reader.members(required: required, optional: optional + (isStored ? [] : ["code_version"]))
        else { return nil }
        let before = reader.faults.all.count
        let envelope = members["envelope"]?.choice(DocumentEnvelope.self)
        let mapping = members["fields"].flatMap { Self.mapping($0, hasEnvelope: members["envelope"] != nil) }
        let version = members["code_version"].given(DocumentSettings.CodeVersion.current) { member in
            member.integer(1...DocumentSettings.CodeVersion.current.rawValue).flatMap {
                DocumentSettings.CodeVersion(rawValue: $0)
            }
        }
        var attributes = attributes
        if isStored { attributes = members["attributes"].map { storedAttributes($0) } ?? [] }
        let standard = DuplicateWindow.Limits()
        let characters = members["content_characters_max"]?.integer(contentCharacters)
        let duplicates = limits(members, standard)
        let passages = passages(members, PassageSettings())
        let stages = stages(members)
        guard let mapping, let codeVersion = version, reader.faults.all.count == before else { return nil }
        var settings = DocumentSettings(
            codeVersion: codeVersion, envelope: envelope, mapping: mapping, attributes: attributes,
            duplicates: duplicates, passages: passages, stages: stages)
        if let characters { settings.contentCharactersMax = Int(characters) }
        return settings
    }

    private static func mapping(_ reader: DeclarationReader, hasEnvelope: Bool) -> DocumentMapping? {
        guard
            let members = reader.members(
                required: ["id", "text"],
                optional: ["version", "title", "url", "lang", "time", "deleted", "truncated"])
        else { return nil }
        let before = reader.faults.all.count
        let id = members["id"]?.path()
        let deleted = members["deleted"].given(FieldPath("deleted")) { $0.path() }
        var texts: [FieldPath] = []
        if let text = members["text"] {
            if case .array = text.value {
                texts = (text.elements(1...DocumentMapping.textsMax) ?? []).compactMap { $0.path() }
            } else if let path = text.path() {
                texts = [path]
            }
        }
        let version = members["version"]?.path()
        let title = members["title"]?.path()
        let url = members["url"]?.path()
        let lang = members["lang"]?.path()
        let time = members["time"]?.path()
        let truncated = members["truncated"]?.path()
        if hasEnvelope {
            if let version, !EnvelopeFields.isOfEnvelope(version.text) {
                members["version"]?.fault(
                    "must be a place in the envelope, such as \(EnvelopeFields.order): a deletion tells nothing of the row but "
                        + "its key")
            }
            members["truncated"]?.fault("is what the envelope tells; leave it out")
        }
        if let member = members["truncated"] {
            if members["version"] == nil {
                reader.fault(
                    "has \"truncated\" without \"version\": without declared versions nothing tells what is older in all "
                        + "topic partitions")
            } else if truncated != nil, truncated == deleted {
                member.fault("must be another place than \"deleted\"")
            }
        }
        guard let id, let deleted, reader.faults.all.count == before else { return nil }
        return DocumentMapping(
            id: id, version: version, title: title, texts: texts, url: url, lang: lang, time: time, deleted: deleted,
            truncated: truncated)
    }

    private static func storedAttributes(_ reader: DeclarationReader) -> [MappedAttribute] {
        (reader.entries(countMax: DocumentSettings.attributesMax) ?? []).compactMap { text, entry in
            guard let members = entry.members(required: ["type", "path"]),
                let type = members["type"]?.choice(AttributeType.self), let path = members["path"]?.path()
            else { return nil }
            guard let name = AttributeName(text) else {
                entry.fault("is no attribute's name: \(AttributeName.grammar)")
                return nil
            }
            return MappedAttribute(name, type, at: path)
        }
    }

    private static func passages(
        _ members: [String: DeclarationReader], _ standard: PassageSettings
    ) -> PassageSettings {
        let weight = members["passage_weight_max"].given(Int64(standard.weightMax)) {
            $0.integer(Int64(PassageSettings.weightFloor)...Int64(PassageSettings.weightBound))
        }
        let weightMax = weight.map { Int($0) } ?? standard.weightMax
        // A fifth of what a declaration asks for, unless it says both.
        guard let member = members["passage_overlap"] else {
            return members["passage_weight_max"] == nil ? standard : PassageSettings(weightMax: weightMax)
        }
        let overlap = member.integer(0...Int64(PassageSettings.overlapMax(weightMax)))
        return PassageSettings(weightMax: weightMax, overlap: overlap.map { Int($0) })
    }

    /// What recent changes have of the stages, too: they tell their language and their canaries themselves.
    private static let textStageMembers = [
        "text_characters_min", "near_duplicates_offsets", "near_duplicates_milliseconds", "near_duplicates_distance",
        "reputation",
    ]
    private static let stageMembers = textStageMembers + ["detects_language", "passes_over"]

    private static func stages(_ members: [String: DeclarationReader]) -> DocumentStages {
        var stages = DocumentStages(passesOver: members["passes_over"].map { passedOver($0) } ?? [])
        if members["envelope"] != nil {
            members["passes_over"]?.fault(
                "goes with documents as they are: an envelope says itself what is about nothing")
        }
        if let least = members["text_characters_min"]?.integer(DocumentStages.textCharactersBounds) {
            stages.textCharactersMin = Int(least)
        }
        if let flag = members["detects_language"]?.bool() { stages.detectsLanguage = flag }
        if let weight = members["reputation"]?.number(DocumentStages.reputationBounds) { stages.reputation = weight }
        stages.nearDuplicates = nearDuplicates(members)
        return stages
    }

    private static func passedOver(_ reader: DeclarationReader) -> [PassedOver] {
        (reader.entries(countMax: DocumentStages.passedOverMax) ?? []).compactMap { text, entry in
            guard let path = FieldPath(text) else {
                entry.fault("is no place in the object: \(FieldPath.grammar)")
                return nil
            }
            switch entry.value {
            case .bool(let flag): return PassedOver(path, .bool(flag))
            case .integer(let number): return PassedOver(path, .integer(number))
            case .string: return entry.text(bytesMax: 255).map { PassedOver(path, .text($0)) }
            default:
                entry.fault("must be a text, a whole number, true or false")
                return nil
            }
        }
    }

    private static func nearDuplicates(_ members: [String: DeclarationReader]) -> NearDuplicateWindow.Limits? {
        let offsets = members["near_duplicates_offsets"]?.integer(0...NearDuplicateWindow.Limits.offsetsMax)
        let milliseconds = members["near_duplicates_milliseconds"].given(
            NearDuplicateWindow.Limits.standardMilliseconds
        ) { $0.integer(0...31_536_000_000) }
        let distance = members["near_duplicates_distance"].given(Int64(NearDuplicateWindow.Limits.distanceMax)) {
            $0.integer(0...Int64(NearDuplicateWindow.Limits.distanceMax))
        }
        if members["near_duplicates_offsets"] == nil {
            for name in ["near_duplicates_milliseconds", "near_duplicates_distance"] {
                members[name]?.fault("needs near_duplicates_offsets beside it, the window that it is about")
            }
        }
        guard let offsets, offsets > 0, let milliseconds, let distance else { return nil }
        return NearDuplicateWindow.Limits(offsets: offsets, milliseconds: milliseconds, distance: Int(distance))
    }

    private static func limits(
        _ members: [String: DeclarationReader], _ standard: DuplicateWindow.Limits
    ) -> DuplicateWindow.Limits {
        DuplicateWindow.Limits(
            offsets: members["duplicates_offsets"]?.integer(0...2_000_000) ?? standard.offsets,
            milliseconds: members["duplicates_milliseconds"]?.integer(0...31_536_000_000) ?? standard.milliseconds)
    }
}

extension DeclarationReader {
    /// A list of words such as names of wikis.
    fileprivate func words() -> [String] { (elements(0...1_000) ?? []).compactMap { $0.text(bytesMax: 255) } }
}
