import API
import Bytes
import Console
import Files
import Settings
import Telemetry

/// The language models that the settings name.
enum LanguageModels {
    /// A key is a line of text.
    private static let keyBytesMax = 65_536

    /// The first one first; none where no URL is set.
    ///
    /// - Throws: where a key is given twice, or its file cannot be read.
    static func named(by settings: Settings, metrics: MetricsRegistry, logger: Logger) throws -> [ChatAnswerer] {
        let model = settings.languageModel
        var configurations: [ChatConfiguration] = []
        if settings.isForeignKeyWithheld, model.keyFile.isEmpty {
            logger.warning(
                "OPENAI_API_KEY is not sent to LLM_URL, which is not OpenAI's; set LLM_API_KEY where it is meant for it"
            )
        }
        if !model.url.isEmpty {
            configurations.append(
                ChatConfiguration(
                    name: "model", url: model.url, model: model.name,
                    key: try key(model.key, in: model.keyFile, named: "LLM_API_KEY")))
        }
        if !model.fallbackURL.isEmpty {
            configurations.append(
                ChatConfiguration(
                    name: "model_fallback", url: model.fallbackURL, model: model.fallbackName,
                    key: try key(model.fallbackKey, in: model.fallbackKeyFile, named: "LLM_FALLBACK_API_KEY")))
        }
        return configurations.map { configuration in
            var configuration = configuration
            configuration.millisecondsMax = model.timeoutMilliseconds
            configuration.tokensMax = model.tokensMax
            configuration.temperature = model.temperature
            configuration.contextTokensMax = model.contextTokensMax
            configuration.passagesFirst = model.passagesFirst
            return ChatAnswerer(configuration, metrics: metrics, logger: logger)
        }
    }

    /// A key that is given, or stands in a file.
    ///
    /// - Parameter name: of the setting that holds the key itself; the one of its file ends with `_FILE`.
    /// - Throws: ``Failure`` (64) where both are given, or the file cannot be read.
    static func key(_ key: String, in file: String, named name: String) throws -> String {
        guard !file.isEmpty else { return key }
        guard key.isEmpty else {
            throw Failure("\(name) and \(name)_FILE are both set: unset one of them", code: .usage)
        }
        let bytes: [UInt8]
        do throws(FileError) { bytes = try File.contents(of: file, bytesMax: keyBytesMax) } catch {
            throw Failure("\(name)_FILE: \(error)", code: .usage)
        }
        guard let word = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first else {
            throw Failure("\(name)_FILE: \(file) is empty", code: .usage)
        }
        return String(word)
    }
}
