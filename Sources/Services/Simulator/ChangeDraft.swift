import Bytes

/// One invented change on its way to JSON: first everything is chosen, then written in the order of real events.
struct ChangeDraft {
    let index: Int
    var random: SeededGenerator

    var time: Int64 = 0
    var offset = 0
    var isCodfw = false
    var type = "edit"
    var site = Site(database: "", domain: "", language: 0, kind: .encyclopedia)
    var namespace = 0
    var title = ""
    var comment = ""
    var user = ""
    var isBot = false
    var log: (type: String, action: String)?

    /// The kinds of wikis, which differ in what is written there.
    enum SiteKind: Sendable {
        case encyclopedia, sister, commons, wikidata
    }

    /// A wiki.
    struct Site: Sendable {
        var database: String
        var domain: String
        /// Index into ``WordLists/languages``.
        var language: Int
        var kind: SiteKind
    }

    init(index: Int, random: SeededGenerator) {
        self.index = index
        self.random = random
    }

    mutating func roll(_ count: Int) -> Int { Int(random.next(upperBound: UInt64(count))) }
    mutating func chance(_ percent: Int) -> Bool { roll(100) < percent }
    mutating func pick<T>(_ list: [T]) -> T { list[roll(list.count)] }

    /// Draws everything but times and offsets.
    mutating func choose(for stream: SimulatedStream = .recentChange) {
        let draw = roll(10_000)
        type =
            switch (stream, draw) {
            case (.pageCreate, _): "new"
            // One in twenty revisions is the first of its page.
            case (.revisionCreate, _): draw < 500 ? "new" : "edit"
            case (.recentChange, 0..<3_700): "categorize"
            case (.recentChange, 3_700..<4_100): "log"
            case (.recentChange, 4_100..<4_400): "new"
            case (.recentChange, 4_400..<4_406): "142"
            case (.recentChange, _): "edit"
            }
        site = Sites.pick(&random, onlyEncyclopedias: type == "142")
        isBot = chance(37)
        user = chooseUser()
        switch type {
        case "categorize": chooseCategorization()
        case "log": chooseLogEntry()
        case "142": chooseDiscussion()
        default: chooseEdit()
        }
    }

    private mutating func chooseUser() -> String {
        if isBot { return pick(WordLists.bots) }
        switch roll(100) {
        case 0..<6: return "192.0.2.\(roll(254) + 1)"
        case 6..<8: return "2001:DB8:\(String(roll(65_536), radix: 16, uppercase: true)):0:0:0:0:\(roll(9) + 1)"
        case 8..<50: return pick(WordLists.languages[site.language].names)
        default: return pick(WordLists.userStems) + pick(WordLists.userStems).lowercased() + "\(roll(90) + 10)"
        }
    }

    // MARK: Texts

    /// A page of the site's language; the theme decides what edits say.
    private mutating func choosePage() -> (title: String, subject: String, theme: Int) {
        let pack = WordLists.languages[site.language]
        let place = pick(pack.places)
        guard !pack.subjects.isEmpty else {
            let theme = roll(WordLists.englishThemes.count)
            let subject = pick(WordLists.englishThemes[theme].subjects)
            let title =
                switch roll(4) {
                case 0: "\(subject) in \(place)"
                case 1: "\(subject) of \(place) (\(1_850 + roll(176)))"
                case 2: "\(1_900 + roll(126)) \(subject.lowercased()) in \(place)"
                default: "List of \(subject.lowercased()) articles about \(place)"
                }
            return (title, subject.lowercased(), theme)
        }
        let theme = roll(pack.subjects.count)
        let subject = pack.subjects[theme]
        let title = chance(50) ? "\(subject) (\(place))" : "\(subject) (\(place), \(1_850 + roll(176)))"
        return (title, subject, theme)
    }

    private mutating func chooseEdit() {
        let page = choosePage()
        let pack = WordLists.languages[site.language]
        switch site.kind {
        case .wikidata:
            title = "Q\(1_000 + roll(130_000_000))"
            comment = wikidataComment(subject: page.subject, language: pack.code)
        case .commons:
            namespace = chance(70) ? 6 : 0
            title = namespace == 6 ? "File:\(page.title) \(roll(900) + 100).jpg" : page.title
            comment = type == "new" ? "Uploaded own work with UploadWizard" : "added [[Category:\(page.title)]]"
        case .encyclopedia, .sister:
            let prefix: String
            (namespace, prefix) =
                switch roll(100) {
                case 0..<78: (0, "")
                case 78..<84: (1, pack.talk + ":")
                case 84..<88: (2, pack.user + ":")
                case 88..<93: (3, "\(pack.user) \(pack.talk.lowercased()):")
                case 93..<96: (10, "Template:")
                case 96..<99: (14, pack.category + ":")
                default: (828, "Module:")
                }
            title = namespace == 2 || namespace == 3 ? prefix + user : prefix + page.title
            comment = pageComment(page: page, pack: pack)
        }
        if comment.isEmpty || type != "edit" || !chance(5) { return }
        comment += " ([[Special:Diff/\(1_000_000_000 + roll(300_000_000))]])"
    }

    private mutating func pageComment(page: (title: String, subject: String, theme: Int), pack: LanguagePack) -> String
    {
        if chance(7) { return "" }
        if type == "new" { return "Created page with \"'''\(page.title)''' — \(page.subject)\"" }
        let section = chance(45) ? "/* \(pick(pack.sections)) */ " : ""
        if chance(12), !section.isEmpty { return String(section.dropLast()) }
        guard pack.subjects.isEmpty else { return section + Self.fill(pick(pack.comments), page.subject) }
        let detail = pick(WordLists.englishThemes[page.theme].details)
        return switch roll(8) {
        case 0: section + "fixed a typo in the paragraph on " + detail
        case 1: section + "added a source for " + detail
        case 2: section + "expanded: " + detail
        case 3: section + "updated " + detail
        case 4: section + "copyedit; clearer wording about " + detail
        case 5: "Reverted edits by [[Special:Contributions/\(pick(WordLists.userStems))]] about " + detail
        case 6: section + "\"" + detail + "\": unsourced, see [[Talk:\(page.title)|talk]] & [[WP:RS]]"
        default: section + detail
        }
    }

    private mutating func wikidataComment(subject: String, language: String) -> String {
        switch roll(4) {
        case 0: "/* wbsetclaim-create:2||1 */ [[Property:P\(roll(9_000) + 1)]]: [[Q\(roll(9_000_000) + 1)]]"
        case 1: "/* wbsetlabel-add:1|\(language) */ \(subject)"
        case 2: "/* wbsetdescription-set:1|\(language) */ \(subject), [[Q\(roll(9_000_000) + 1)]]"
        default: "/* wbeditentity-update:0| */ batch #\(roll(90_000))"
        }
    }

    private mutating func chooseCategorization() {
        namespace = 14
        let member = choosePage()
        let pack = WordLists.languages[site.language]
        let category = pack.subjects.isEmpty ? pick(pick(WordLists.englishThemes).subjects) : pick(pack.subjects)
        let prefix = site.kind == .encyclopedia || site.kind == .sister ? pack.category : "Category"
        title = "\(prefix):\(category) — \(pick(pack.places))"
        let page = site.kind == .commons ? "File:\(member.title) \(roll(900) + 100).jpg" : member.title
        comment = "[[:\(page)]] \(chance(80) ? "added to" : "removed from") category"
        if chance(15) { comment += ", [[Special:WhatLinksHere/\(page)|this page is included within other pages]]" }
    }

    private mutating func chooseLogEntry() {
        let page = choosePage()
        switch roll(100) {
        case 0..<45:
            log = ("abusefilter", "hit")
            title = page.title
        case 45..<70:
            log = ("upload", "upload")
            namespace = 6
            title = "File:\(page.title).jpg"
            comment = "Uploaded own work with UploadWizard"
        case 70..<85:
            log = ("delete", "delete")
            title = page.title
            comment = "housekeeping: \(page.subject)"
        case 85..<93:
            log = ("patrol", "patrol")
            title = page.title
        default:
            log = ("newusers", "create")
            namespace = -1
            title = "Special:Log/newusers"
        }
    }

    private mutating func chooseDiscussion() {
        namespace = 2_600
        title = "Topic:\(String(random.next(), radix: 36))"
        comment = "\(user) edited a comment on \"\(choosePage().title)\""
    }

    private static func fill(_ template: String, _ subject: String) -> String {
        template.replacing("@", with: subject)
    }
}

/// The wikis that invented events come from.
enum Sites {
    private static let projects = ["wiktionary", "wikisource", "wikinews", "wikivoyage", "wikibooks"]
    private static let weights = WordLists.languages.map(\.weight)
    private static let total = weights.reduce(0, +)

    static func pick(_ random: inout SeededGenerator, onlyEncyclopedias: Bool) -> ChangeDraft.Site {
        let draw = onlyEncyclopedias ? 99 : Int(random.next(upperBound: UInt64(100)))
        let language = language(&random)
        let code = WordLists.languages[language].code
        switch draw {
        case 0..<27:
            return ChangeDraft.Site(
                database: "commonswiki", domain: "commons.wikimedia.org", language: 0, kind: .commons)
        case 27..<47:
            return ChangeDraft.Site(
                database: "wikidatawiki", domain: "www.wikidata.org", language: language, kind: .wikidata)
        case 47..<52:
            let project = projects[Int(random.next(upperBound: UInt64(projects.count)))]
            return ChangeDraft.Site(
                database: code + project, domain: "\(code).\(project).org", language: language, kind: .sister)
        default:
            return ChangeDraft.Site(
                database: code + "wiki", domain: code + ".wikipedia.org", language: language, kind: .encyclopedia)
        }
    }

    private static func language(_ random: inout SeededGenerator) -> Int {
        var draw = Int(random.next(upperBound: UInt64(total)))
        for (index, weight) in weights.enumerated() {
            if draw < weight { return index }
            draw -= weight
        }
        return 0
    }
}
