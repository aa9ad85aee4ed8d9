import Bytes

/// Finds where replies begin and end in what a server sends, without keeping them.
struct ReplyScanner {
    /// Statuses whose heads came with the last bytes.
    private(set) var statuses: [Int] = []
    /// Replies that have come to their end.
    private(set) var completed = 0
    private var head: [UInt8] = []
    private var bodyLeft = 0
    /// The reply ends with the connection, or in chunks, which nobody counts.
    private(set) var isEndless = false

    /// Longer heads are none of this server's.
    private static let headBytesMax = 65_536

    mutating func read(_ bytes: ArraySlice<UInt8>) {
        statuses.removeAll(keepingCapacity: true)
        var rest = bytes
        while !rest.isEmpty, !isEndless {
            if bodyLeft > 0 {
                let taken = min(bodyLeft, rest.count)
                bodyLeft -= taken
                rest = rest.dropFirst(taken)
                if bodyLeft == 0 { completed += 1 }
                continue
            }
            guard let line = rest.firstIndex(of: 0x0A) else {
                head += rest
                if head.count > Self.headBytesMax { isEndless = true }
                return
            }
            head += rest[...line]
            rest = rest[(line + 1)...]
            if head.suffix(4).elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) { takeHead() }
        }
    }

    private mutating func takeHead() {
        let text = String(decoding: head, as: UTF8.self)
        head.removeAll(keepingCapacity: true)
        let lines = text.split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count > 1, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            isEndless = true
            return
        }
        if status / 100 == 1 { return }
        statuses.append(status)
        var length: Int?
        for line in lines.dropFirst() where line.lowercased().hasPrefix("content-length:") {
            length = Int(line.split(separator: " ").last ?? "")
        }
        if let length {
            bodyLeft = length
        } else if status != 204 && status != 304 {
            isEndless = true
            return
        }
        if bodyLeft == 0 { completed += 1 }
    }
}
