package import Bytes

extension Settings {
    /// Language models that write answers.
    package struct LanguageModel: Sendable {
        /// Where it is asked; empty = nowhere. May hold a secret.
        package internal(set) var url = SecretURL("")
        /// What the server calls it; empty = its own choice.
        package internal(set) var name = ""
        /// A secret: never print it.
        package internal(set) var key = ""
        /// A file with that secret; empty = none.
        package internal(set) var keyFile = ""
        /// Where another one is asked when the first fails; empty = nowhere. May hold a secret.
        package internal(set) var fallbackURL = SecretURL("")
        package internal(set) var fallbackName = ""
        /// A secret: never print it.
        package internal(set) var fallbackKey = ""
        /// A file with that secret; empty = none.
        package internal(set) var fallbackKeyFile = ""
        /// How long one server has for an answer.
        package internal(set) var timeoutMilliseconds = 0
        /// Tokens that it may write.
        package internal(set) var tokensMax = 0
        package internal(set) var temperature = 0.0
        /// Tokens of passages that it is given, estimated.
        package internal(set) var contextTokensMax = 0
        /// Passages that it is given first.
        package internal(set) var passagesFirst = 0
    }
}

extension Settings {
    /// Whether `OPENAI_API_KEY` is set and ``LanguageModel/url`` is not where it belongs, so that it is not sent.
    package var isForeignKeyWithheld: Bool { given["LLM_API_KEY"] != nil && languageModel.key.isEmpty }
}

extension Settings.LanguageModel {
    /// Forgets a key of `OPENAI_API_KEY`, which many have set for other programs, unless ``url`` is OpenAI's or was named by the
    /// variables that go with it.
    mutating func withholdForeignKey(givenByAlias: [String: String]) {
        guard givenByAlias["LLM_API_KEY"] == "OPENAI_API_KEY", !url.isEmpty else { return }
        guard !["OPENAI_BASE_URL", "OPENAI_API_BASE"].contains(givenByAlias["LLM_URL"]), !isOpenAI else { return }
        key = ""
    }

    private var isOpenAI: Bool {
        let scheme = "https://"
        guard url.revealed.lowercased().hasPrefix(scheme) else { return false }
        let authority = url.revealed.dropFirst(scheme.count).prefix { !"/?#".contains($0) }.lowercased()
        return authority == "api.openai.com" || authority == "api.openai.com:443"
    }
}

extension Settings.LanguageModel: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "LLM_URL", .models, default: "", .optionalSecretURL, \.languageModel.url,
            "A server that speaks OpenAI's `/chat/completions` (Ollama, llama.cpp, vLLM, OpenAI), up to `/v1`; it "
                + "writes the sentences of answers, each of which is checked against what it cites. Questions and "
                + "passages leave the machine then, unless it is this one. Empty: answers quote.",
            shown: Redaction.url, aliases: ["OPENAI_BASE_URL", "OPENAI_API_BASE"]),
        Setting(
            "LLM_MODEL", .models, default: "", .text("name"), \.languageModel.name,
            "What that server calls the model. Empty: its own choice, where it has one.",
            aliases: ["OPENAI_MODEL", "OPENAI_CHAT_MODEL"]),
        Setting(
            "LLM_API_KEY", .models, default: "", .headerValue, \.languageModel.key,
            "The key that is sent to it. Never printed. Without `LLM_URL` it is sent nowhere; that of `OPENAI_API_KEY` goes "
                + "only where `OPENAI_BASE_URL` or `OPENAI_API_BASE` says, or to `https://api.openai.com`.",
            shown: Redaction.secret,
            aliases: ["OPENAI_API_KEY"]),
        Setting(
            "LLM_API_KEY_FILE", .models, default: "", .text("file"), \.languageModel.keyFile,
            "A file with that key, read at the start, in place of `LLM_API_KEY`."),
        Setting(
            "LLM_FALLBACK_URL", .models, default: "", .optionalSecretURL, \.languageModel.fallbackURL,
            "Another such server, such as a local one, that is asked where the first fails. Where both do, answers "
                + "quote.",
            shown: Redaction.url),
        Setting(
            "LLM_FALLBACK_MODEL", .models, default: "", .text("name"), \.languageModel.fallbackName,
            "What that one calls the model."),
        Setting(
            "LLM_FALLBACK_API_KEY", .models, default: "", .headerValue, \.languageModel.fallbackKey,
            "The key that is sent to that one. Never printed.", shown: Redaction.secret),
        Setting(
            "LLM_FALLBACK_API_KEY_FILE", .models, default: "", .text("file"), \.languageModel.fallbackKeyFile,
            "A file with that key, read at the start, in place of `LLM_FALLBACK_API_KEY`."),
        Setting(
            "LLM_TIMEOUT_MS", .models, default: "12000", .integer(100...600_000), \.languageModel.timeoutMilliseconds,
            "How long each server has for an answer, tries and all; half of it for the first word. The request's own "
                + "limit (`REQUEST_TIMEOUT_SEC`) holds besides."),
        Setting(
            "LLM_MAX_TOKENS", .models, default: "512", .integer(16...32_768), \.languageModel.tokensMax,
            "Tokens that it may write for an answer (`max_tokens`)."),
        Setting(
            "LLM_TEMPERATURE", .models, default: "0", .number(0...2), \.languageModel.temperature,
            "How freely it chooses its words."),
        Setting(
            "LLM_CONTEXT_TOKENS", .models, default: "3000", .integer(100...1_000_000), \.languageModel.contextTokensMax,
            "Tokens of passages that it is given at most, by an estimate of four bytes a token."),
        Setting(
            "LLM_PASSAGES_FIRST", .models, default: "3", .integer(1...1_000), \.languageModel.passagesFirst,
            "Passages that it is given first. After a refusal they are twice as many, as long as there are some that have to do "
                + "with what the question names. As many as an answer reads (`top_k`, by default 10) are one attempt with all."
        ),
    ]
}
