import JSONScan

/// The bytes of a chat completion, streamed or whole, as pieces of the model's text.
package struct ChatReply {
    /// What a reply told beside its text.
    package struct Usage: Sendable, Equatable {
        /// Tokens that were read.
        package var prompt: Int
        /// Tokens that were written.
        package var completion: Int

        package init(prompt: Int, completion: Int) {
            self.prompt = prompt
            self.completion = completion
        }
    }

    /// Why a reply is none.
    package enum Fault: Error, Equatable {
        /// Not JSON, or not of a chat completion.
        case notChat
        /// The server told of an error within the stream.
        case error(String)
        /// Ended before the model was done.
        case cut
        /// One line of it is longer than any honest one.
        case tooLong
    }

    /// Whether the reply is a stream of events; otherwise it is one JSON document.
    private let isStream: Bool
    private var line: [UInt8] = []
    /// Data of the event that is being read.
    private var data: [UInt8] = []
    private var isAfterReturn = false
    /// Whether the model said that it was done.
    private var isDone = false
    /// Whether it was stopped in the middle: by the tokens that it may write, or by a filter.
    package private(set) var isIncomplete = false
    /// Tokens, where the server told.
    package private(set) var usage: Usage?

    private static let eventBytesMax = 1 << 20
    /// An event that another one follows without an empty line is looked for up to this size: each line looks once more.
    private static let earlyBytesMax = 65_536

    /// - Parameter isStream: by the reply's `Content-Type`.
    package init(isStream: Bool) { self.isStream = isStream }

    /// Takes the next bytes, cut anywhere.
    ///
    /// - Returns: the text that is whole by now.
    package mutating func feed(_ bytes: some Sequence<UInt8>) throws(Fault) -> String {
        var text = ""
        guard isStream else {
            data.append(contentsOf: bytes)
            return text
        }
        for byte in bytes {
            defer { isAfterReturn = byte == 0x0D }
            if byte == 0x0A, isAfterReturn { continue }
            if byte == 0x0A || byte == 0x0D {
                text += try endLine()
            } else {
                line.append(byte)
                guard line.count + data.count <= Self.eventBytesMax else { throw .tooLong }
            }
        }
        return text
    }

    /// Ends the reply.
    ///
    /// - Returns: what was still held.
    /// - Throws: where it ended too early.
    package mutating func finish() throws(Fault) -> String {
        if isStream {
            var text = ""
            if !line.isEmpty { text += try endLine() }
            text += try endEvent()
            guard isDone else { throw .cut }
            return text
        }
        guard let json = try? JSONValue.parse(data) else { throw .notChat }
        let text = try read(json)
        guard isDone else { throw .notChat }
        return text
    }

    /// WHATWG HTML, section 9.2.6: of the fields only `data` matters; lines that begin with a colon are comments.
    private mutating func endLine() throws(Fault) -> String {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else { return try endEvent() }
        guard line.starts(with: "data:".utf8) else { return "" }
        var value = line[5...]
        if value.first == 0x20 { value = value.dropFirst() }
        var text = ""
        // Some servers leave out the empty line between events.
        if data.last == UInt8(ascii: "}"), data.count <= Self.earlyBytesMax, (try? JSONValue.parse(data)) != nil {
            text = try endEvent()
        }
        if !data.isEmpty { data.append(0x0A) }
        data.append(contentsOf: value)
        return text
    }

    private mutating func endEvent() throws(Fault) -> String {
        defer { data.removeAll(keepingCapacity: true) }
        guard !data.isEmpty, !isDone || usage == nil else { return "" }
        if data.elementsEqual("[DONE]".utf8) {
            isDone = true
            return ""
        }
        guard let json = try? JSONValue.parse(data) else { throw .notChat }
        return try read(json)
    }

    private mutating func read(_ json: JSONValue) throws(Fault) -> String {
        guard json.object != nil else { throw .notChat }
        if let error = json["error"], !error.isNull {
            // Cut once more behind what takes secrets away.
            throw .error(String((error["message"]?.string ?? error.string ?? "").prefix(4_096)))
        }
        if let prompt = json["usage"]?["prompt_tokens"]?.integer,
            let done = json["usage"]?["completion_tokens"]?.integer
        {
            usage = Usage(prompt: Int(clamping: prompt), completion: Int(clamping: done))
        }
        guard let choices = json["choices"]?.array else { throw .notChat }
        guard let choice = choices.first else { return "" }
        if let reason = choice["finish_reason"]?.string {
            isDone = true
            isIncomplete = isIncomplete || ["length", "content_filter"].contains(reason)
        }
        let part = isStream ? choice["delta"] ?? choice["message"] : choice["message"]
        if !isStream {
            guard part != nil else { throw .notChat }
            isDone = true
        }
        return part?["content"]?.string ?? ""
    }
}
