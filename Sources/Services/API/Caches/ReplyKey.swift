import Bytes
import HTTPServer
import Retrieval

/// What a request's reply depends on, apart from the index.
struct ReplyKey: Sendable {
    let text: String
    /// Whether something that is kept may be the reply.
    let mayRead: Bool
    /// Whether the reply may be kept.
    let mayKeep: Bool

    /// Nil where the reply depends on the moment or is of the past, on a page before, or on counts of documents that it does not show.
    ///
    /// - Parameters:
    ///   - settings: what of the server's settings decides a reply.
    ///   - role: of who asks.
    ///   - rest: what else is asked.
    init?(
        _ request: SearchRequest, settings: String, role: String, _ http: HTTPRequest,
        rest: (inout JSONWriter) -> Void = { _ in }
    ) {
        guard request.cursor == nil, request.like == nil, request.counted == nil, !request.wantsTotal,
            request.referenceMilliseconds == nil, request.past == nil
        else { return nil }
        let wishes = Self.wishes(of: http)
        guard !wishes.contains("no-store") else { return nil }
        mayRead = !wishes.contains("no-cache")
        // Of a search whose time was short others shall not have what came of it.
        mayKeep = request.timeoutMilliseconds == nil
        var writer = JSONWriter(capacity: 512)
        writer.beginArray()
        for text in [settings, role, Self.trimmed(request.asked), Self.trimmed(request.query), request.mode.rawValue] {
            writer.string(text)
        }
        writer.raw(request.filter.encoding)
        writer.integer(request.topK)
        writer.optional(request.weights?.vector)
        writer.optional(request.weights?.lexical)
        writer.options(request.options)
        writer.optional(request.ef.map { Int64($0) })
        for flag in [request.isExact, request.isExplained, request.interpretation != nil] { writer.bool(flag) }
        rest(&writer)
        writer.endArray()
        text = String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Directives of `Cache-Control` (RFC 9111, 5.2), in lower case.
    private static func wishes(of request: HTTPRequest) -> Set<String> {
        Set(
            request.headers.values("Cache-Control").flatMap { value in
                value.split(separator: ",").map { $0.trimming(while: \.isWhitespace).lowercased() }
            })
    }

    /// White space around a query changes nothing; within it, what a model is given.
    private static func trimmed(_ text: String) -> String { String(text.trimming(while: \.isWhitespace)) }
}

extension StringProtocol {
    fileprivate func trimming(while isLeftOut: (Character) -> Bool) -> SubSequence {
        var text = self[...]
        while let first = text.first, isLeftOut(first) { text = text.dropFirst() }
        while let last = text.last, isLeftOut(last) { text = text.dropLast() }
        return text
    }
}

extension JSONWriter {
    fileprivate mutating func options(_ options: RankingOptions) {
        beginArray()
        optional(options.scoreMin)
        string(options.order.rawValue)
        optional(options.grouping?.text)
        for (name, weight) in options.sourceWeights.sorted(by: { $0.key < $1.key }) {
            string(name)
            double(weight)
        }
        endArray()
    }
}
