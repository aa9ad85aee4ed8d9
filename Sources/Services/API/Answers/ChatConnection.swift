import Answering
import Bytes
import HTTPClient
import Synchronization

/// A client of a chat server on a lane of its own; what it reads can be stopped from any thread.
final class ChatConnection: Sendable {
    private let client = HTTPClient()
    private let isStopped = Atomic(false)

    /// Bytes of a whole reply; the events around each word count.
    static let replyBytesMax = 4 << 20
    private static let refusalBytesMax = 16_384
    private static let connectMillisecondsMax = 5_000

    var interruption: Interruption {
        Interruption(
            request: { [self] in
                isStopped.store(true, ordering: .releasing)
                client.wake()
            },
            clear: { [self] in isStopped.store(false, ordering: .releasing) },
            isRequested: { [self] in isStopped.load(ordering: .acquiring) })
    }

    /// What came of a request.
    struct Outcome: Sendable {
        var isRefusal: Bool
        var form: ReplyForm
        var usage: ChatReply.Usage?
        /// From the request to the first word.
        var firstNanoseconds: Int64?
        /// Whether the model was stopped in the middle.
        var isIncomplete = false
    }

    /// Asks and hands over what is said, sentence by sentence, on this thread.
    ///
    /// - Parameters:
    ///   - milliseconds: for all of it; half of that for the first word.
    ///   - drafts: whether text is handed over as it comes, too.
    /// - Throws: ``ModelFault``; ``CancellationError`` when it was stopped.
    func ask(
        _ request: HTTPClientRequest, form: ReplyForm, milliseconds: Int, drafts: Bool, _ hand: (AnswerPart) -> Void
    ) throws -> Outcome {
        var reading = ChatReading(form: form, drafts: drafts)
        let start = SystemClock.monotonicNanoseconds()
        let limit = start + Int64(milliseconds) * 1_000_000
        let firstLimit = start + Int64(milliseconds) * 500_000
        func fault() -> ModelFault? {
            let now = SystemClock.monotonicNanoseconds()
            if now >= limit { return ModelFault(.timeout, "not done after \(milliseconds) ms") }
            if !reading.hasText, now >= firstLimit {
                return ModelFault(.silent, "no word after \(milliseconds / 2) ms")
            }
            return nil
        }
        do {
            _ = try client.stream(
                request, connectTimeoutMilliseconds: min(Self.connectMillisecondsMax, milliseconds),
                stallTimeoutMilliseconds: milliseconds,
                shouldStop: { isStopped.load(ordering: .acquiring) || fault() != nil },
                onHead: { status, headers in
                    reading.begin(status, headers)
                    return true
                },
                onBytes: { bytes in try reading.take(bytes, since: start, hand) })
            if isStopped.load(ordering: .acquiring) { throw CancellationError() }
            if let fault = fault() { throw fault }
            return try reading.finish(hand) {
                if isStopped.load(ordering: .acquiring) { throw CancellationError() }
                if SystemClock.monotonicNanoseconds() >= limit {
                    throw ModelFault(.timeout, "not done after \(milliseconds) ms")
                }
            }
        } catch {
            throw Self.fault(error, hasBegun: reading.hasText)
        }
    }

    private static func fault(_ error: any Error, hasBegun: Bool) -> any Error {
        var fault: ModelFault
        switch error {
        case let error as ModelFault: fault = error
        case let error as HTTPClientError: fault = ModelFault(error)
        case let error as ChatReply.Fault:
            switch error {
            case .notChat: fault = ModelFault(.garbage, "the reply is no chat completion")
            case .error(let text): fault = ModelFault(.serverError, text)
            case .cut: fault = ModelFault(.cut, "the stream ended before its end")
            case .tooLong: fault = ModelFault(.tooLarge, "an event is too long")
            }
        default: return error
        }
        fault.hasBegun = hasBegun
        return fault
    }

    /// A reply as it comes.
    private struct ChatReading {
        private let drafts: Bool
        private var status = 0
        private var retryAfterSeconds: Int?
        private var refusal: [UInt8] = []
        private var reply: ChatReply?
        private var sentences: ReplySentences
        private let form: ReplyForm
        private var bytes = 0
        private(set) var hasText = false
        private var firstNanoseconds: Int64?

        init(form: ReplyForm, drafts: Bool) {
            self.form = form
            self.drafts = drafts
            sentences = ReplySentences(asked: form)
        }

        mutating func begin(_ status: Int, _ headers: HTTPClientHeaders) {
            self.status = status
            retryAfterSeconds = headers.retryAfterSeconds
            guard (200..<300).contains(status) else { return }
            reply = ChatReply(isStream: headers["Content-Type"]?.lowercased().hasPrefix("text/event-stream") ?? false)
        }

        mutating func take(_ piece: UnsafeRawBufferPointer, since start: Int64, _ hand: (AnswerPart) -> Void) throws {
            bytes += piece.count
            guard reply != nil else {
                refusal += piece.prefix(max(0, ChatConnection.refusalBytesMax - refusal.count))
                return
            }
            guard bytes <= ChatConnection.replyBytesMax else {
                throw ModelFault(.tooLarge, "more than \(ChatConnection.replyBytesMax) bytes")
            }
            let text = try reply?.feed(piece) ?? ""
            if firstNanoseconds == nil, !text.isEmpty { firstNanoseconds = SystemClock.monotonicNanoseconds() - start }
            self.hand(text, hand)
        }

        private mutating func hand(_ text: String, _ hand: (AnswerPart) -> Void) {
            guard !text.isEmpty else { return }
            hasText = true
            if drafts { hand(.draft(text)) }
            for sentence in sentences.feed(text) { hand(.sentence(sentence)) }
        }

        /// - Parameter check: asked before each step, since a whole reply may hold a lot; throws where no more is wanted.
        mutating func finish(_ hand: (AnswerPart) -> Void, check: () throws -> Void) throws -> Outcome {
            guard reply != nil else {
                throw ModelFault(
                    status: status, body: String(decoding: refusal, as: UTF8.self),
                    retryAfterSeconds: retryAfterSeconds)
            }
            if bytes == 0 { throw ModelFault(.empty, "a reply without a byte") }
            let text = try reply?.finish() ?? ""
            try check()
            if !text.isEmpty {
                hasText = true
                if drafts { hand(.draft(text)) }
                for sentence in sentences.feed(text) {
                    try check()
                    hand(.sentence(sentence))
                }
            }
            for sentence in sentences.finish() {
                try check()
                hand(.sentence(sentence))
            }
            guard hasText else { throw ModelFault(.empty, "a reply without a word") }
            guard !sentences.isGarbage else {
                throw ModelFault(.garbage, "no sentence with citations in the reply")
            }
            return Outcome(
                isRefusal: sentences.isRefusal, form: sentences.form ?? form, usage: reply?.usage,
                firstNanoseconds: firstNanoseconds, isIncomplete: reply?.isIncomplete ?? false)
        }
    }
}
