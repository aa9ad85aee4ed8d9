/// Actions that one may be asked for, and what undoes them: who shortened a section is not answered by who expanded it.
enum OpposedActions {
    private static let pairs: [(String, String)] = [
        (
            "add adds added adding insert inserted insertion addition put",
            "remove removes removed removing removal delete deleted deletion cut took dropped"
        ),
        ("source sourced reference references referenced cited", "unsourced uncited unreferenced"),
        (
            "restore restores restored brought reinstate reinstated",
            "revert reverts reverted reverting undo undid undone rolled"
        ),
        (
            "expand expands expanded expansion extend extended lengthened",
            "shorten shortens shortened trim trimmed cut condensed"
        ),
        ("create creates created creation", "delete deletes deleted deletion destroyed"),
        ("protect protects protected", "unprotect unprotected"), ("block blocked", "unblock unblocked"),
        ("open opens opened reopened", "close closes closed"), ("accept accepted approved", "reject rejected declined"),
        ("increase increased raised rose", "decrease decreased lowered fell"), ("won win wins", "lost lose loses"),
        ("enable enabled", "disable disabled"), ("bought buy", "sold sell"), ("started began", "ended stopped"),
    ]

    private struct Kin: Sendable {
        var opposed: Set<String> = []
        var same: Set<String> = []
    }

    private static let kin: [String: Kin] = {
        var kin: [String: Kin] = [:]
        for (first, second) in pairs {
            let sides = [first, second].map { Set($0.split(separator: " ").map { Words.stem(String($0)) }) }
            for (mine, theirs) in [(sides[0], sides[1]), (sides[1], sides[0])] {
                for word in mine {
                    kin[word, default: Kin()].opposed.formUnion(theirs)
                    kin[word, default: Kin()].same.formUnion(mine)
                }
            }
        }
        return kin
    }()

    /// Whether a sentence tells of the reverse of what is asked for, and not of that itself.
    ///
    /// - Parameters:
    ///   - asked: stems of the question in order; its first action counts ("Who brought back what was undone").
    ///   - told: stems of the sentence. An action that the question has in its matter, too ("Who shortened the part on the
    ///     director's cut"), is only told of where the sentence has it as often.
    static func areOpposed(asked: [String], told: [String]) -> Bool {
        guard let action = asked.lazy.compactMap({ kin[$0] }).first, told.contains(where: action.opposed.contains)
        else { return false }
        return told.count(where: action.same.contains) < asked.count(where: action.same.contains)
    }

    /// Stems that mean the same as `stem`, itself among them.
    static func synonyms(of stem: String) -> Set<String> { kin[stem]?.same ?? [stem] }
}
