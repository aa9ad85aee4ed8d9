/// The language of a wiki by its database name, from a fixed table, so that it never depends on the outside.
package enum WikiLanguage {
    /// The ISO 639 code of the wiki's content, or `und` for wikis of many languages and unknown ones.
    package static func code(wiki: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        table[Array(wiki)] ?? undetermined
    }

    private static let undetermined = Array("und".utf8)

    private static let projects = [
        "wiki", "wiktionary", "wikibooks", "wikinews", "wikiquote", "wikisource", "wikiversity", "wikivoyage",
    ]

    // Database prefixes of the Wikipedias, as of 2024 (https://meta.wikimedia.org/wiki/List_of_Wikipedias).
    private static let prefixes = """
        aa ab ace ady af ak alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bbc bcl \
        be bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv \
        cy da dag de dga din diq dsb dtp dty dv dz ee el eml en eo es et eu ext fa fat ff fi fj fo fon fr frp frr fur \
        fy ga gag gan gcr gd gl glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy \
        hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu ja jam jbo jv ka kaa kab kbd kbp kcg kg kge ki kj kk kl km \
        kn knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv mad mai \
        mdf mg mh mhr mi min mk ml mn mni mnw mos mr mrj ms mt mus mwl my myv mzn na nah nap nds ne new ng nia nl nn no \
        nov nqo nr nrm nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rm \
        rmy rn ro rsk ru rue rw sa sah sat sc scn sco sd se sg sh shi shn si sk skr sl sm smn sn so sq sr srn ss st stq \
        su sv sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tpi tr trv ts tt tum tw ty tyv udm ug uk \
        ur uz ve vec vep vi vls vo wa war wo wuu xal xh xmf yi yo za zea zgh zh zu
        """

    // Prefixes that are not the language's own code.
    private static let renamed = [
        "als": "gsw", "bat_smg": "sgs", "be_x_old": "be", "cbk_zam": "cbk", "fiu_vro": "vro", "map_bms": "map",
        "nds_nl": "nds", "roa_rup": "rup", "roa_tara": "nap", "simple": "en", "zh_classical": "lzh",
        "zh_min_nan": "nan", "zh_yue": "yue",
    ]

    private static let table: [[UInt8]: [UInt8]] = {
        var table: [[UInt8]: [UInt8]] = [:]
        func add(_ prefix: String, _ code: String) {
            for project in projects { table[Array((prefix + project).utf8)] = Array(code.utf8) }
        }
        for prefix in prefixes.split(separator: " ") { add(String(prefix), String(prefix)) }
        for (prefix, code) in renamed { add(prefix, code) }
        return table
    }()
}

/// The languages of the wikis that were asked for last: most changes are of some dozen wikis, and the table's answer costs
/// an allocation.
struct WikiLanguageCache {
    private struct Entry {
        var wiki: [UInt8] = []
        var language: [UInt8] = []
    }

    private static let size = 256
    /// Names of wikis are shorter; what is longer is not kept.
    private static let nameBytesMax = 64
    private var entries = [Entry](repeating: Entry(), count: size)

    init() {}

    /// What ``WikiLanguage/code(wiki:)`` says.
    mutating func code(wiki: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        guard wiki.count <= Self.nameBytesMax else { return WikiLanguage.code(wiki: wiki) }
        var place = 0
        for byte in wiki { place = (place &* 31 &+ Int(byte)) & (Self.size - 1) }
        if entries[place].language.isEmpty || !entries[place].wiki.elementsEqual(wiki) {
            entries[place] = Entry(wiki: Array(wiki), language: WikiLanguage.code(wiki: wiki))
        }
        return entries[place].language
    }
}
