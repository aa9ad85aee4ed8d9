/// Words that turn what is said around, by kind. English first; those of other languages where they mean nothing else in
/// English.
enum WordLists {
    static let negators: Set<String> = [
        "not", "no", "never", "none", "neither", "nor", "cannot", "without", "nobody", "nothing", "nowhere", "hardly",
        "unable",
        "false", "untrue", "lack", "lacks", "lacked", "lacking", "fail", "fails", "failed", "deny", "denies", "denied",
        "refuse", "refuses", "refused", "nicht", "kein", "keine", "keinen", "keiner", "keinem", "nie", "niemals",
        "ohne",
        "pas", "jamais", "sans", "aucun", "aucune", "nunca", "jamás", "sin", "ningún", "ninguna", "tampoco", "não",
        "sem",
        "не", "нет", "никогда", "без", "ни", "non", "mai", "senza", "niet", "geen", "inte", "ikke", "不", "没", "沒", "无",
        "無",
        "未", "非", "没有", "不是", "لا", "لم", "لن", "ليس",
    ]

    /// Those of which two in a clause say what one says.
    static let concordNegators: Set<String> = [
        "neither", "nor", "никогда", "ни", "nunca", "jamás", "ningún", "ninguna", "tampoco", "jamais", "aucun",
        "aucune",
        "mai",
    ]

    /// Verbs that say little of their own, and how pages are told of.
    static let lightVerbs: Set<String> = [
        "named", "called", "located", "situated", "based", "mentioned", "stated", "described", "noted", "told", "said",
    ]

    /// Words that put several things in a row.
    static let conjunctions: Set<String> = [
        "and", "or", "und", "oder", "noch", "et", "ou", "y", "e", "o", "и", "или", "和", "与",
    ]

    /// What keeps a statement from being one of what is.
    enum Restriction {
        case possible, would, plan, future, claim, condition, former, vice, second, almost, only, except, rarely, barely
    }

    static let restrictions: [String: Restriction] = [
        "may": .possible, "might": .possible, "perhaps": .possible, "possibly": .possible, "probably": .possible,
        "could": .possible, "should": .possible, "likely": .possible, "proposed": .possible, "expected": .possible,
        "attempted": .possible, "attempts": .possible, "tried": .possible, "tries": .possible, "will": .future,
        "shall": .future, "scheduled": .future, "intends": .future, "intended": .future, "whether": .claim,
        "accused": .claim, "suspected": .claim, "believed": .claim, "except": .except, "excepting": .except,
        "excluding": .except, "besides": .except, "apart": .except, "rarely": .rarely, "seldom": .rarely,
        "barely": .barely, "scarcely": .barely,
        "would": .would, "plan": .plan, "plans": .plan, "planned": .plan, "planning": .plan, "alleged": .claim,
        "alleges": .claim, "allegedly": .claim, "allege": .claim, "allegation": .claim, "allegations": .claim,
        "claim": .claim, "claims": .claim, "claimed": .claim, "claiming": .claim, "reportedly": .claim,
        "supposedly": .claim, "rumoured": .claim, "rumored": .claim, "if": .condition, "unless": .condition,
        "former": .former, "formerly": .former, "ex": .former, "vice": .vice, "second": .second, "almost": .almost,
        "nearly": .almost, "only": .only,
    ]

    static let clauseWords: Set<String> = [
        "but", "although", "though", "while", "whereas", "however", "yet", "aber", "sondern", "obwohl", "mais", "pero",
        "sino",
        "aunque", "но", "хотя",
    ]

    /// Prepositions that give what follows a part in what happens. Only one of each group is of a kind.
    static let roles: [String: Role] = [
        "from": .source, "von": .source, "desde": .source, "depuis": .source, "из": .source, "to": .target,
        "into": .target,
        "nach": .target, "hasta": .target, "jusqu": .target, "until": .target, "by": .agent, "durch": .agent,
        "par": .agent,
        "por": .agent, "before": .before, "avant": .before, "antes": .before, "after": .after, "après": .after,
        "después": .after, "nachdem": .after, "than": .than, "above": .above, "over": .above, "über": .above,
        "exceeding": .above,
        "below": .below, "under": .below, "unter": .below, "of": .other, "in": .other, "at": .other, "on": .other,
        "with": .other, "for": .other, "about": .other, "against": .other, "since": .since, "seit": .since,
    ]

    enum Role {
        case source, target, agent, before, after, than, above, below, since, other

        /// What the same word cannot be at the same time.
        var opposite: Role? {
            switch self {
            case .source: .target
            case .target: .source
            case .before: .after
            case .after: .before
            case .above: .below
            case .below: .above
            case .since: .target
            case .agent, .than, .other: nil
            }
        }
    }

    /// What is done to pages, in the words of pages and of those who tell of it.
    static let editing: Set<String> = [
        "edit", "edits", "edited", "change", "changes", "changed", "update", "updates", "updated", "modify", "modified",
        "revise", "revised",
    ]

    /// Words of opposite meaning: a sentence that has one where its passage has the other says the opposite.
    static let opposites: [(String, String)] = [
        ("open opens opened opening reopened", "close closes closed closing"),
        (
            "add adds added adding insert inserted insertion addition",
            "remove removes removed removing removal delete deleted deletion"
        ),
        ("create creates created creation", "delete deletes deleted deletion destroy destroyed"),
        (
            "increase increases increased increasing rise rises rose risen grew grow grown growth",
            "decrease decreases decreased decreasing fall falls fell fallen decline declined shrank shrunk drop dropped"
        ),
        (
            "accept accepts accepted approve approves approved approval pass passes passed adopt adopts adopted",
            "reject rejects rejected decline declined disapproved"
        ),
        ("win wins won winner victory", "lose loses lost loser defeat"),
        ("beat beats beaten defeats defeated", "lost loses"),
        ("injured wounded hurt", "unhurt unharmed uninjured unscathed"), ("more most", "less fewer least fewest"),
        ("greater larger bigger largest biggest greatest", "smaller smallest lesser"),
        ("higher highest high", "lower lowest low"), ("longer longest long", "shorter shortest short"),
        ("older oldest old", "younger youngest newer newest new young"), ("earlier earliest", "later latest"),
        ("faster fastest", "slower slowest"), ("better best", "worse worst"), ("first", "last"),
        ("true correct", "false incorrect wrong"),
        ("allow allows allowed permit permits permitted", "forbid forbids forbidden ban banned prohibit prohibited"),
        ("start starts started begin begins began begun", "end ends ended stop stops stopped finish finished"),
        ("support supports supported", "oppose opposes opposed"), ("born birth", "died death dead"),
        ("north northern", "south southern"),
        ("east eastern", "west western"), ("left", "right"), ("agree agrees agreed", "disagree disagrees disagreed"),
        ("enable enables enabled", "disable disables disabled"),
        ("include includes included", "exclude excludes excluded omit omitted"),
        ("restore restored", "revert reverted undo undid undone"),
        ("expand expanded expansion", "shorten shortened trim trimmed"),
        ("maximum", "minimum"), ("before", "after"), ("above", "below"), ("protect protected", "unprotect unprotected"),
        ("all every", "some"), ("always", "sometimes rarely seldom"), ("upgrade upgraded", "downgrade downgraded"),
        ("buy bought purchased acquire acquired acquires", "sell sold sells"), ("public", "private"),
        ("legal lawful", "illegal unlawful"),
        ("success successful succeeded", "failure unsuccessful"), ("male", "female"), ("hot", "cold"),
        ("safe", "dangerous unsafe"),
        ("geöffnet öffnete", "geschlossen schloss"), ("gewann gewonnen", "verlor verloren"),
        ("hinzugefügt", "entfernt gelöscht"),
        ("ajouté ajoutée", "supprimé supprimée retiré"), ("añadido añadió", "eliminado eliminó borrado"),
        ("добавлен добавил добавлена", "удалён удалил удалена"),
    ]

    /// Words of other languages that say little, beside the English ones of Retrieval.
    static let functionWords: Set<String> = [
        "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "und", "oder", "ist", "war",
        "wurde", "wird", "sind", "waren", "im", "zu", "zum", "zur", "mit", "auf", "für", "als", "auch", "le", "la",
        "les",
        "du", "un", "une", "et", "ou", "est", "était", "dans", "sur", "pour", "avec", "au", "aux", "que", "qui", "el",
        "los", "las", "una", "y", "o", "es", "fue", "en", "con", "para", "se", "il", "lo", "gli", "della", "di", "e",
        "и", "в",
        "на", "с", "что", "был", "была", "это", "по", "been", "being", "also", "which", "said", "says", "according",
        "were",
        "之", "的", "了", "在", "是", "和", "与",
    ]

    /// Endings and words by which an English word is known for a verb in the past.
    static func isPastVerb(_ word: String) -> Bool {
        word.utf8.count > 3 && word.hasSuffix("ed") || irregular.contains(word)
    }

    private static let irregular: Set<String> = [
        "won", "lost", "beat", "sold", "bought", "made", "wrote", "written", "took", "taken", "gave", "given", "led",
        "built",
        "found", "sent", "met", "left", "began", "became", "held", "ran", "drew", "broke", "shot", "hit", "put", "set",
        "told", "said", "saw", "paid", "overtook", "undid", "fought", "taught", "caught", "drove", "hid", "rebuilt",
        "struck", "chose", "stole", "threw",
    ]

    /// How sentences begin that speak of what they were taken from; they need not stand there.
    static let openers: Set<String> = [
        "according", "article", "articles", "page", "pages", "edit", "edits", "editor", "editors", "user", "users",
        "change",
        "changes", "section", "text", "passage", "passages", "source", "sources", "record", "records", "wikipedia",
        "here",
        "there", "someone", "people", "its", "his", "her", "their", "one", "both", "only", "during", "after", "before",
        "since",
        "until", "because", "however", "moreover", "furthermore", "finally", "yes", "no", "currently", "recently",
        "later",
        "then", "once", "when", "while", "each", "every", "most", "many", "several", "among", "between", "through",
        "within",
    ]
}
