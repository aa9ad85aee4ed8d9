extension WikibaseSummary {
    /// One message.
    struct Row {
        let name: StaticString
        /// What it says, with `$1` to `$5` for its arguments; without them at most ``CommentText/growthMax`` bytes.
        let words: StaticString

        init(_ name: StaticString, _ words: StaticString) {
            self.name = name
            self.words = words
        }
    }

    /// All messages that are known; fewer than 255.
    static let rows: [Row] = entityRows + termRows + statementRows + pageRows + lexemeRows

    private static let entityRows = [
        Row("wbeditentity", "Changed an entity"),
        Row("wbeditentity-create", "Created an entity"),
        Row("wbeditentity-create-item", "Created a new item"),
        Row("wbeditentity-create-property", "Created a new property"),
        Row("wbeditentity-create-lexeme", "Created a new lexeme"),
        Row("wbeditentity-create-form", "Created a new form"),
        Row("wbeditentity-create-sense", "Created a new sense"),
        Row("wbeditentity-create-mediainfo", "Created structured data"),
        Row("wbeditentity-update", "Changed an entity"),
        Row("wbeditentity-update-languages", "Changed labels, descriptions or aliases in $3 languages"),
        Row("wbeditentity-update-languages-short", "Changed label, description or aliases in $3"),
        Row(
            "wbeditentity-update-languages-and-other",
            "Changed labels, descriptions or aliases in $3 languages and more"),
        Row("wbeditentity-update-languages-and-other-short", "Changed label, description or aliases in $3 and more"),
        Row("wbeditentity-statements-multiple-properties-add", "Added statements of $3 properties"),
        Row("wbeditentity-override", "Cleared an entity"),
        Row("wbsetentity", "Changed an entity"),
        Row("special-create-item", "Created an item in $2"),
        Row("special-create-property", "Created a property in $2"),
        Row("special-create-lexeme", "Created a lexeme"),
        Row("wbmergeitems-from", "Merged item from $3"),
        Row("wbmergeitems-to", "Merged item into $3"),
        Row("wblmergelexemes-from", "Merged lexeme from $3"),
        Row("wblmergelexemes-to", "Merged lexeme into $3"),
        Row("wbcreateredirect", "Redirected $3 to $4"),
    ]

    private static let termRows = [
        Row("wbsetlabel", "Changed $2 label"),
        Row("wbsetlabel-add", "Added $2 label"),
        Row("wbsetlabel-set", "Changed $2 label"),
        Row("wbsetlabel-remove", "Removed $2 label"),
        Row("wbsetdescription", "Changed $2 description"),
        Row("wbsetdescription-add", "Added $2 description"),
        Row("wbsetdescription-set", "Changed $2 description"),
        Row("wbsetdescription-remove", "Removed $2 description"),
        Row("wbsetaliases", "Changed $2 aliases"),
        Row("wbsetaliases-set", "Set $2 aliases"),
        Row("wbsetaliases-add", "Added $2 alias"),
        Row("wbsetaliases-remove", "Removed $2 alias"),
        Row("wbsetaliases-update", "Changed $2 aliases"),
        Row("wbsetaliases-add-remove", "Added and removed $2 aliases"),
        Row("wbsetlabeldescriptionaliases", "Changed label, description or aliases in $2"),
        Row("wbsetlemma", "Changed lemma"),
    ]

    private static let statementRows = [
        Row("wbcreateclaim", "Created claim"),
        Row("wbcreateclaim-create", "Created claim"),
        Row("wbcreateclaim-value", "Created claim"),
        Row("wbcreateclaim-novalue", "Created claim of no value"),
        Row("wbcreateclaim-somevalue", "Created claim of an unknown value"),
        Row("wbsetclaim", "Changed claim"),
        Row("wbsetclaim-create", "Created claim"),
        Row("wbsetclaim-update", "Changed claim"),
        Row("wbsetclaim-create-qualifiers", "Added qualifier"),
        Row("wbsetclaim-update-qualifiers", "Changed qualifier"),
        Row("wbsetclaim-update-references", "Changed reference"),
        Row("wbsetclaim-update-rank", "Changed rank of claim"),
        Row("wbsetclaimvalue", "Changed value of claim"),
        Row("wbremoveclaims", "Removed claim"),
        Row("wbremoveclaims-remove", "Removed claim"),
        Row("wbremoveclaims-update", "Changed claim"),
        Row("wbsetqualifier", "Changed qualifier"),
        Row("wbsetqualifier-add", "Added qualifier"),
        Row("wbsetqualifier-set", "Changed qualifier"),
        Row("wbsetqualifier-update", "Changed qualifier"),
        Row("wbremovequalifiers", "Removed qualifier"),
        Row("wbremovequalifiers-remove", "Removed qualifier"),
        Row("wbsetreference", "Changed reference"),
        Row("wbsetreference-add", "Added reference"),
        Row("wbsetreference-set", "Changed reference"),
        Row("wbremovereferences", "Removed reference"),
        Row("wbremovereferences-remove", "Removed reference"),
    ]

    private static let pageRows = [
        Row("wbsetsitelink", "Changed link to $2"),
        Row("wbsetsitelink-add", "Added link to $2"),
        Row("wbsetsitelink-add-both", "Added link with badges to $2"),
        Row("wbsetsitelink-set", "Changed link to $2"),
        Row("wbsetsitelink-set-badges", "Changed badges of the link to $2"),
        Row("wbsetsitelink-set-both", "Changed link with badges to $2"),
        Row("wbsetsitelink-remove", "Removed link to $2"),
        Row("wblinktitles-create", "Created an item for linked pages"),
        Row("wblinktitles-connect", "Connected pages"),
        Row("clientsitelink-update", "Page moved from $3 to $4"),
        Row("clientsitelink-remove", "Page deleted on $3"),
        Row("undo", "Undid revision $3 by $4"),
        Row("restore", "Restored revision $3 by $4"),
        Row("growthexperiments-addlink-summary-summary", "Added $1 suggested links"),
        Row("growthexperiments-addimage-summary-summary", "Added a suggested image"),
        Row("entityschema-summary-newschema-nolabel", "Created a new entity schema"),
        Row("entityschema-summary-update-schema-text", "Changed the text of an entity schema"),
    ]

    private static let lexemeRows = [
        Row("add-form", "Added form $2"),
        Row("remove-form", "Removed form $2"),
        Row("update-form-elements", "Changed form $2"),
        Row("add-form-representations", "Added representations of form $2"),
        Row("set-form-representations", "Changed representations of form $2"),
        Row("update-form-representations", "Changed representations of form $2"),
        Row("remove-form-representations", "Removed representations of form $2"),
        Row("add-form-grammatical-features", "Added grammatical features of form $2"),
        Row("update-form-grammatical-features", "Changed grammatical features of form $2"),
        Row("remove-form-grammatical-features", "Removed grammatical features of form $2"),
        Row("add-sense", "Added sense $2"),
        Row("remove-sense", "Removed sense $2"),
        Row("update-sense-elements", "Changed sense $2"),
        Row("add-sense-glosses", "Added glosses of sense $2"),
        Row("set-sense-glosses", "Changed glosses of sense $2"),
        Row("update-sense-glosses", "Changed glosses of sense $2"),
        Row("remove-sense-glosses", "Removed glosses of sense $2"),
    ]
}
