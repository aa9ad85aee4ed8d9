package import Records

/// The settings of one source's logic: a closed set, so that a generation stores which member it is.
package enum LogicSettings: Sendable, Equatable {
    case recentChange(TransformSettings)
    case document(DocumentSettings)

    /// Which logic it is, without its settings. A topic keeps its kind: generations differ in settings alone.
    package enum Kind: String, CaseIterable, Sendable {
        case recentChange = "recent_change"
        case document
    }

    /// Which logic it is.
    package var kind: Kind {
        switch self {
        case .recentChange: .recentChange
        case .document: .document
        }
    }

    /// What is stored with a generation and what the fingerprint covers.
    package var canonicalJSON: [UInt8] {
        switch self {
        case .recentChange(let settings): settings.canonicalJSON
        case .document(let settings): settings.canonicalJSON
        }
    }

    /// The fingerprint of code and settings.
    package func logicVersion(hasher: inout some ContentHasher & ~Copyable) throws -> String {
        switch self {
        case .recentChange(let settings): try settings.logicVersion(hasher: &hasher)
        case .document(let settings): try settings.logicVersion(hasher: &hasher)
        }
    }

    /// The places in a record that the logic looks at, in the order in which it wants them back.
    package var paths: [String] {
        switch self {
        case .recentChange: RecentChangeField.paths
        case .document(let settings): DocumentFields.paths(settings)
        }
    }

    /// How far apart two records with one event id may lie for the second to be left out.
    package var duplicates: DuplicateWindow.Limits {
        switch self {
        case .recentChange(let settings): settings.duplicates
        case .document(let settings): settings.duplicates
        }
    }

    /// How far before a record an earlier one can decide what becomes of it: what retention keeps of Bronze, and what a
    /// replay reads before its start.
    package var duplicateReach: DuplicateWindow.Limits {
        switch self {
        case .recentChange(let settings): settings.duplicateReach
        // Half, so that times can be added. What a restarted connector repeats is found however long it was away.
        case .document(let settings):
            DuplicateWindow.Limits(
                offsets: max(settings.duplicates.offsets, settings.stages.nearDuplicates?.offsets ?? 0),
                milliseconds: .max / 2)
        }
    }

    /// Which documents are left out for the text of others; nil where none are.
    package var nearDuplicates: NearDuplicateWindow.Limits? {
        switch self {
        case .recentChange(let settings): settings.stages.nearDuplicates
        case .document(let settings): settings.stages.nearDuplicates
        }
    }

    /// What the scores of the documents are multiplied by, unless a search says otherwise.
    package var reputation: Double {
        switch self {
        case .recentChange(let settings): settings.stages.reputation
        case .document(let settings): settings.stages.reputation
        }
    }

    /// Whether a record without a value is nothing to complain about: a tombstone, behind a deletion that says the same.
    package var passesTombstones: Bool {
        switch self {
        case .recentChange: false
        case .document(let settings): settings.envelope != nil
        }
    }

    /// Whether a record's ``RedriveOrigin`` counts.
    package var followsRedrives: Bool {
        switch self {
        case .recentChange(let settings): settings.codeVersion.followsRedrives
        case .document: true
        }
    }

    /// Whether a record's ``RepeatMark`` counts.
    package var followsRepeatMarks: Bool {
        switch self {
        case .recentChange(let settings): settings.codeVersion.followsRepeatMarks
        case .document: true
        }
    }
}

/// What a kind of logic asks of a record before the logic of any generation runs; it is the same in all of a topic's.
package struct RecordFrame: Sendable {
    /// The number among the paths of the field that has the event's id; nil where a header has it (``EventIDHeader``).
    package let eventID: Int?
    /// The field and its text that tell a canary: the source sends some to watch itself
    /// (https://wikitech.wikimedia.org/wiki/Event_Platform).
    package let canary: (field: Int, text: [UInt8])?
    /// The field that must be an object, and the rule that is broken where it is none.
    package let object: (field: Int, rule: Rule)?

    package init(_ kind: LogicSettings.Kind) {
        switch kind {
        case .recentChange:
            eventID = RecentChangeField.id.rawValue
            canary = (RecentChangeField.domain.rawValue, Array("canary".utf8))
            object = (RecentChangeField.meta.rawValue, .missingMeta)
        case .document: (eventID, canary, object) = (nil, nil, nil)
        }
    }
}

/// The logic of one generation of one topic, ready to run: static dispatch over a closed set. A new member is a case
/// here and in ``LogicSettings``, and a folder of its own.
package enum Logic {
    case recentChange(RecentChangeTransform)
    case document(DocumentTransform)

    /// - Parameters:
    ///   - collection: the name under which Gold documents are found.
    ///   - tenant: whom they belong to.
    ///   - languages: asked where the settings want languages found.
    package init(
        _ settings: LogicSettings, collection: String, tenant: TenantID = .standard,
        languages: (any LanguageFinder)? = nil, hasher: inout some ContentHasher & ~Copyable
    ) throws {
        switch settings {
        case .recentChange(let settings):
            self = .recentChange(
                try RecentChangeTransform(
                    settings: settings, collection: collection, tenant: tenant, hasher: &hasher))
        case .document(let settings):
            self = .document(
                try DocumentTransform(
                    settings: settings, collection: collection, tenant: tenant, languages: languages, hasher: &hasher))
        }
    }

    /// What it runs by.
    package var settings: LogicSettings {
        switch self {
        case .recentChange(let transform): .recentChange(transform.settings)
        case .document(let transform): .document(transform.settings)
        }
    }

    /// The fingerprint of code and settings.
    package var logicVersion: String {
        switch self {
        case .recentChange(let transform): transform.logicVersion
        case .document(let transform): transform.logicVersion
        }
    }

    /// Applies rules and filters to one parsed record, which is neither a canary nor a duplicate.
    ///
    /// - Parameters:
    ///   - fields: those of ``LogicSettings/paths``, in that order.
    ///   - bronzeSHA256: hexadecimal digest of the raw value.
    ///   - embedsValue: whether the value may stand verbatim in a line.
    ///   - goldLine: lent the Gold line without its line feed, and the document's id, if one was made; the id is empty where
    ///     the line is about no document.
    package mutating func apply(
        _ record: borrowing SourceRecord, fields: EventFields, bronzeSHA256: [UInt8], embedsValue: Bool,
        hasher: inout some ContentHasher & ~Copyable, output: inout DerivedLines,
        goldLine: (_ documentID: UnsafeBufferPointer<UInt8>, _ line: UnsafeRawBufferPointer) -> Void
    ) throws {
        // In place: a payload that is bound and put back would be copied with its buffers.
        switch consume self {
        case .recentChange(var transform):
            defer { self = .recentChange(transform) }
            try transform.apply(
                record, fields: fields, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue, hasher: &hasher,
                output: &output, goldLine: goldLine)
        case .document(var transform):
            defer { self = .document(transform) }
            try transform.apply(
                record, fields: fields, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue, hasher: &hasher,
                output: &output, goldLine: goldLine)
        }
    }

    /// Whether what becomes of a record hangs on the texts of earlier ones, so that those have to be observed.
    package var hasWindow: Bool {
        switch self {
        case .recentChange(let transform): transform.hasWindow
        case .document(let transform): transform.hasWindow
        }
    }

    /// Takes a record into the window of near duplicates, as the logic does when it is applied, and makes nothing of it.
    package mutating func observe(_ record: borrowing SourceRecord, fields: EventFields) {
        switch consume self {
        case .recentChange(var transform):
            defer { self = .recentChange(transform) }
            transform.observe(record, fields: fields)
        case .document(var transform):
            defer { self = .document(transform) }
            transform.observe(record, fields: fields)
        }
    }

    /// Empties the window of near duplicates.
    package mutating func forget() {
        switch consume self {
        case .recentChange(var transform):
            defer { self = .recentChange(transform) }
            transform.forget()
        case .document(var transform):
            defer { self = .document(transform) }
            transform.forget()
        }
    }

    /// Puts a record that broke a rule into quarantine.
    package func reject(
        _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
        bronzeSHA256: [UInt8]?, embedsValue: Bool, output: inout DerivedLines
    ) {
        output.reject(
            record, rejection, eventID: eventID, bronzeSHA256: bronzeSHA256, logicVersion: logicVersion,
            embedsValue: embedsValue)
    }
}

/// The fingerprint of a logic.
enum LogicVersion {
    /// `<prefix>-<first 12 digits of the SHA-256 of the settings>`.
    static func text(
        prefix: String, _ canonicalJSON: [UInt8], hasher: inout some ContentHasher & ~Copyable
    ) throws -> String {
        var digest: [UInt8] = []
        try canonicalJSON.withUnsafeBytes { bytes in try hasher.appendHexDigest(of: bytes, to: &digest) }
        return prefix + "-" + String(decoding: digest.prefix(12), as: UTF8.self)
    }
}
