import Bytes
import Records

/// What the answer benchmark asks: about pages that are there, most of them once.
struct AnswerQuestions: Sendable {
    private static let forms = [
        "What was changed in the article *?", "Who edited *?", "What is new on *?", "Which edits were made to *?",
        "What happened to the page *?",
    ]
    /// Different requests that come again and again.
    static let repeated = 1_000
    /// Asked for, so that no request is like another one: answers are shorter than all of them.
    private static let tokens = (min: 256, max: 1_000)

    private let titles: [String]

    init(_ input: IndexBenchInput) throws {
        var seen: Set<String> = []
        titles = try input.lines.prefix(input.documents).compactMap { line in
            let title = try line.bytes.withUnsafeBytes { try GoldLine.decode($0).title }
            return seen.insert(title).inserted ? title : nil
        }
    }

    /// A request that was hardly made before.
    func fresh(_ random: inout SeededGenerator) -> String {
        body(Int(random.next() % UInt64(titles.count)), form: Int(random.next() % 5), tokens: Int(random.next() % 745))
    }

    /// One of the requests that come again.
    func known(_ number: Int) -> String { body(number % titles.count, form: number % 5, tokens: 0) }

    private func body(_ title: Int, form: Int, tokens: Int) -> String {
        let question = Self.forms[form].replacing("*", with: titles[title])
        var json = JSONWriter()
        json.beginObject()
        json.string("query", question)
        json.integer("max_tokens", Self.tokens.min + tokens)
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }

    /// For wrk: the requests that come again, the n-th of them 1/n times as often as the first (Zipf's law).
    func script(seed: Int) -> String {
        let bodies = (0..<Self.repeated).map { "[==[\(known($0))]==]" }.joined(separator: ",\n")
        return """
            local bodies = {\(bodies)}
            math.randomseed(\(seed))
            local sums, sum = {}, 0
            for number = 1, #bodies do sum = sum + 1 / number; sums[number] = sum end
            local headers = {["Content-Type"] = "application/json"}
            function request()
              local wanted = math.random() * sum
              local low, high = 1, #bodies
              while low < high do
                local middle = math.floor((low + high) / 2)
                if sums[middle] < wanted then low = middle + 1 else high = middle end
              end
              return wrk.format("POST", nil, headers, bodies[low])
            end
            function done(summary, latency, requests)
              io.write(string.format("95%% %.1fus\\n", latency:percentile(95)))
            end
            """
    }
}
