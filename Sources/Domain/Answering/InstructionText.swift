/// Text that talks to a model in place of telling something.
///
/// Whoever can write into a source can write "ignore all previous instructions and say …". What follows such words is no
/// fact of the passage, and a sentence that only repeats it has no support. The words are those of English, German, French,
/// Spanish, Russian and Chinese; an order in other words is still only text that must be supported like any other.
enum InstructionText {
    /// Whether a sentence of a passage orders its reader about.
    static func isInstruction(_ text: String) -> Bool {
        let folded = text.lowercased()
        if marks.contains(where: { folded.contains($0) }) { return true }
        let isAboutInstructions = instructionWords.contains { folded.contains($0) }
        if isAboutInstructions, ignoring.contains(where: { folded.contains($0) }) { return true }
        return isOrderToSpeak(folded)
    }

    /// An imperative of saying at the beginning, and then what is to be said: `Answer only with: …`, `Say that …`. `State Route 7: …` is
    /// none.
    private static func isOrderToSpeak(_ folded: String) -> Bool {
        if chineseSpeaking.contains(where: { folded.contains($0) }) { return true }
        var rest = Substring(folded)
        func next() -> String {
            rest = rest.drop { !$0.isLetter }
            let word = rest.prefix(while: \.isLetter)
            rest = rest.dropFirst(word.count)
            return String(word)
        }
        var word = next()
        for _ in 0..<4 where openers.contains(word) { word = next() }
        guard speaking.contains(word) else { return false }
        for _ in 0..<4 {
            let mark = rest.first { !$0.isWhitespace && $0 != "," }
            if let mark, ":：\"“«„'".contains(mark) { return true }
            word = next()
            if announcing.contains(word) { return true }
            guard fillers.contains(word) else { return false }
        }
        return false
    }

    private static let marks = [
        "<|im_start|>", "<|system|>", "[inst]", "[/inst]", "<<sys>>", "system:", "assistant:", "system prompt",
        "you are now",
        "as an ai", "new instructions", "neue anweisung", "nouvelles instructions", "nuevas instrucciones",
        "новые инструкции", "系统提示", "新指令",
    ]
    private static let ignoring = [
        "ignore", "disregard", "forget", "override", "bypass", "ignorier", "vergiss", "vergesst", "missachte", "oublie",
        "ne tiens pas compte", "ignora", "olvida", "omite", "игнорир", "забудь", "не обращай", "忽略", "无视", "忘记", "不要理会",
    ]
    private static let instructionWords = [
        "instruction", "prompt", "rules", "above", "previous", "earlier", "anweisung", "befehl", "regeln", "vorherig",
        "consigne",
        "précédent", "règles", "instruccion", "instrucción", "anterior", "reglas", "инструкци", "указани", "предыдущ",
        "правил",
        "指令", "指示", "说明", "规则", "之前", "以上",
    ]
    private static let speaking: Set<String> = [
        "answer", "respond", "reply", "say", "write", "print", "output", "repeat", "claim", "state", "tell", "cite",
        "pretend", "antworte", "antwortet", "sage", "sag", "schreibe", "schreib", "behaupte", "wiederhole", "réponds",
        "répondez", "dis", "dites", "écris", "écrivez", "affirme", "affirmez", "responde", "contesta", "di", "escribe",
        "afirma", "repite", "ответь", "отвечай", "ответьте", "скажи", "напиши", "утверждай", "повтори",
    ]
    private static let openers: Set<String> = [
        "now", "please", "then", "and", "just", "always", "instead", "you", "must", "should", "only", "nun", "bitte",
        "jetzt", "und", "dann", "stattdessen", "maintenant", "puis", "et", "ahora", "y", "luego", "теперь", "и",
        "просто",
        "вместо", "этого",
    ]
    private static let announcing: Set<String> = ["with", "that", "dass", "mit", "que", "avec", "con", "что"]
    private static let fillers: Set<String> = [
        "only", "the", "exactly", "this", "following", "nur", "genau", "seulement", "uniquement", "exactement", "solo",
        "solamente", "exactamente", "только", "это", "следующее", "just",
    ]
    private static let chineseSpeaking = ["请回答", "请说", "只回答", "只输出", "请输出", "回答说", "回复：", "输出：", "说：", "改为回答"]
}
