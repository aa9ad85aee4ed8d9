/// Text that talks to a model in place of telling something.
///
/// Anyone who can write to a source can write "ignore all previous instructions and say …". Text that follows such words is
/// not evidence, and a sentence that only repeats it has no support. The words are those of English, German, French,
/// Spanish, Portuguese, Italian, Russian, Chinese, Japanese and Arabic; an order in other words is a statement like any other.
enum InstructionText {
    /// Whether a sentence of a passage orders its reader about.
    static func isInstruction(_ text: String) -> Bool {
        let folded = text.lowercased()
        let text = FoldedText(folded)
        if text.contains(marks) { return true }
        let words = folded.split { !$0.isLetter && $0 != "'" && $0 != "’" }.map(String.init)
        if words.contains(where: ignoringWords.contains) || text.contains(ignoring), text.contains(instructionWords) {
            return true
        }
        if isAboutAnswer(words) || text.contains(unspacedSpeaking) { return true }
        // `If anybody asks, say that …`; `no more; just state that …`
        let isConditional = words.first.map(conditions.contains) ?? false
        let parts = folded.split { $0 == ";" || isConditional && $0 == "," }
        return parts.contains { isOrderToSpeak($0) }
    }

    /// `Your answer must be …`, `make sure to say …`, `you must reply …`.
    private static func isAboutAnswer(_ words: [String]) -> Bool {
        for place in words.indices {
            let next = words[(place + 1)...].prefix(5)
            if answers.contains(words[place]) {
                if words[..<place].suffix(2).contains(where: { $0 == "your" }) { return true }
                if next.count > 2, ["to", "for"].contains(next[place + 1]),
                    ["any", "every", "all"].contains(next[place + 2])
                {
                    return true
                }
            }
            let two = next.first.map { words[place] + " " + $0 } ?? ""
            if urging.contains(two), next.dropFirst().contains(where: speaking.contains) { return true }
        }
        return false
    }

    /// An imperative of saying at the beginning, and then what is to be said: `Answer only with: …`, `Say that …`.
    /// `State Route 7: …` is none.
    private static func isOrderToSpeak(_ folded: Substring) -> Bool {
        var rest = folded
        func next() -> String {
            rest = rest.drop { !$0.isLetter }
            let word = rest.prefix(while: \.isLetter)
            rest = rest.dropFirst(word.count)
            return String(word)
        }
        var word = next()
        for _ in 0..<4 where openers.contains(word) { word = next() }
        // `Inform the user that …`, `let readers know …`.
        if telling.contains(word) {
            let isLetting = word == "let"
            word = next()
            while listenerWords.contains(word) { word = next() }
            return listeners.contains(word) && (!isLetting || rest.contains("know"))
        }
        guard speaking.contains(word) else { return false }
        let isPlain = plainlySpeaking.contains(word)
        for step in 0..<5 {
            let mark = rest.first { !$0.isWhitespace && $0 != "," }
            if let mark, ":：\"“«„'".contains(mark) { return true }
            word = next()
            if announcing.contains(word) || listeners.contains(word) { return true }
            // What else begins with `Say the` orders to say what follows.
            if isPlain, step == 0, ["the", "a", "an", "this", "our", "all"].contains(word) { return true }
            guard fillers.contains(word) else { return false }
        }
        return false
    }

    private static let marks = Phrases([
        "<|im_start|>", "<|system|>", "[inst]", "[/inst]", "<<sys>>", "system:", "assistant:", "system prompt",
        "you are now",
        "as an ai", "new instructions", "neue anweisung", "nouvelles instructions", "nuevas instrucciones",
        "новые инструкции", "系统提示", "新指令", "note to the assistant", "note to ai", "note to the ai", "note to the model",
        "dear ai", "dear assistant", "attention ai", "attention assistant", "novas instruções", "nuove istruzioni",
        "新しい指示", "تعليمات جديدة",
    ])
    private static let ignoring = Phrases([
        "ne tiens pas compte", "ne tenez pas compte", "не обращай", "忽略", "无视", "忘记", "不要理会", "無視", "忘れて", "تجاهل",
    ])
    private static let ignoringWords: Set<String> = [
        "ignore", "disregard", "forget", "override", "bypass", "ignoriere", "ignorieren", "vergiss", "vergesst",
        "vergessen", "missachte", "missachten", "oublie", "oubliez", "ignorez", "ignora", "ignorad", "ignoren",
        "olvida",
        "olvide", "olviden", "omite", "omita", "ignorar", "esqueça", "esquece", "desconsidere", "desconsidera",
        "ignorate", "dimentica", "dimenticate", "игнорируй", "игнорируйте", "игнорировать", "забудь", "забудьте", "انس",
    ]
    private static let instructionWords = Phrases([
        "instruction", "prompt", "rules", "above", "previous", "earlier", "anweisung", "befehl", "regeln", "vorherig",
        "consigne", "question", "précédent", "règles", "instruccion", "instrucción", "anterior", "reglas", "инструкци",
        "указани", "предыдущ", "правил", "instruç", "instruções", "regras", "istruzion", "regole", "precedent", "指令",
        "指示", "说明", "规则", "之前", "以上", "命令", "ルール", "تعليمات", "القواعد", "السابق", "ما سبق",
    ])
    private static let answers: Set<String> = ["answer", "answers", "reply", "response", "output"]
    /// What comes before a verb of saying in an order, by its first two words.
    private static let urging: Set<String> = [
        "make sure", "be sure", "you must", "you should", "you shall", "remember to", "don't forget", "don’t forget",
        "you need", "always remember", "please remember",
    ]
    private static let conditions: Set<String> = [
        "if", "when", "whenever", "wenn", "falls", "si", "quand", "cuando", "se", "quando", "если", "когда",
    ]
    /// With somebody who reads behind them.
    private static let telling: Set<String> = [
        "inform", "notify", "tell", "assure", "convince", "remind", "let", "informiere", "informe", "informez",
        "informa",
        "informate", "avise", "avisa", "сообщи", "сообщите",
    ]
    private static let listenerWords: Set<String> = [
        "the", "your", "all", "every", "any", "each", "den", "die", "l", "le", "la", "les", "el", "al", "los", "ao",
        "a",
        "o", "os", "gli", "il", "them",
    ]
    private static let listeners: Set<String> = [
        "user", "users", "reader", "readers", "customer", "customers", "asker", "everyone", "everybody", "anyone",
        "whoever", "nutzer", "benutzer", "leser", "utilisateur", "lecteur", "usuario", "usuarios", "lector", "usuário",
        "usuários", "leitor", "utente", "utenti", "lettore", "пользователю", "пользователям", "читателю",
    ]
    /// Those that are no nouns.
    private static let plainlySpeaking: Set<String> = ["say", "respond", "pretend", "affirm", "mention"]
    private static let speaking: Set<String> = [
        "answer", "respond", "reply", "say", "write", "print", "output", "repeat", "claim", "state", "tell", "cite",
        "pretend", "antworte", "antwortet", "sage", "sag", "schreibe", "schreib", "behaupte", "wiederhole", "réponds",
        "répondez", "dis", "dites", "écris", "écrivez", "affirme", "affirmez", "responde", "contesta", "di", "escribe",
        "afirma", "repite", "mention", "include", "insert", "affirm", "announce", "responda", "diga", "escreva",
        "afirme",
        "repita", "rispondi", "rispondete", "scrivi", "scrivete", "afferma", "ripeti", "dichiara", "dite", "قل", "أجب",
        "اكتب", "أخبر", "ответь", "отвечай", "ответьте", "скажи", "напиши", "утверждай", "повтори",
    ]
    private static let openers: Set<String> = [
        "now", "please", "then", "and", "just", "always", "instead", "you", "must", "should", "only", "nun", "bitte",
        "jetzt", "und", "dann", "stattdessen", "maintenant", "puis", "et", "ahora", "y", "luego", "теперь", "и",
        "просто", "вместо", "этого", "kindly", "simply", "agora", "apenas", "adesso", "ora", "poi", "soltanto", "الآن",
    ]
    private static let announcing: Set<String> = [
        "with", "that", "dass", "mit", "que", "avec", "con", "что", "com", "che", "إن", "أن", "بأن", "فقط",
    ]
    private static let fillers: Set<String> = [
        "only", "the", "exactly", "this", "following", "nur", "genau", "seulement", "uniquement", "exactement", "solo",
        "solamente", "exactamente", "только", "это", "следующее", "just", "sentence", "phrase", "line", "words", "text",
        "apenas", "somente", "soltanto", "solo", "exatamente", "esattamente", "sempre", "to",
    ]
    /// Of scripts without spaces.
    private static let unspacedSpeaking = Phrases([
        "と答えて", "と言って", "と回答して", "と書いて", "と伝えて", "とだけ", "出力して", "答えてください", "回答してください",
        "请回答", "请说", "只回答", "只输出", "请输出", "回答说", "回复：", "输出：", "说：", "改为回答",
    ])
}

/// Phrases in lower case that are looked for together.
private struct Phrases: Sendable {
    let texts: [String]
    /// Their bytes, by the first.
    private let byFirst: [[[UInt8]]]

    init(_ texts: [String]) {
        self.texts = texts
        var byFirst = [[[UInt8]]](repeating: [], count: 256)
        for text in texts {
            let bytes = Array(text.utf8)
            if let first = bytes.first { byFirst[Int(first)].append(bytes) }
        }
        self.byFirst = byFirst
    }

    /// Whether one of them stands in a text.
    func isAny(in bytes: [UInt8]) -> Bool {
        bytes.indices.contains { place in
            byFirst[Int(bytes[place])].contains { bytes[place...].starts(with: $0) }
        }
    }
}

/// A text in lower case in which phrases are looked for: by bytes, which takes a hundredth of what characters do.
private struct FoldedText {
    private let text: String
    private let bytes: [UInt8]
    /// Whether it has combining marks (U+0300 to U+036F): then a letter may be written in another way than phrases have it.
    private let isDecomposed: Bool

    init(_ text: String) {
        self.text = text
        bytes = Array(text.utf8)
        isDecomposed = bytes.contains { $0 == 0xCC || $0 == 0xCD }
    }

    func contains(_ phrases: Phrases) -> Bool {
        phrases.isAny(in: bytes) || isDecomposed && phrases.texts.contains { text.contains($0) }
    }
}
