import Bytes
import Hashing
import Records
import Retrieval

/// What a shared reply shows, by which it is found again: its passages, and the answer that it is.
///
/// Redis keeps a note for each of them: the digests of the replies' names, one behind the other. A note belongs to a stretch of
/// time as long as replies are kept, and is forgotten with the last of its replies; so it never grows for longer than that.
struct ReplyUses: Sendable {
    /// The index's database, to which the numbers of passages belong.
    let database: String
    let isAnswer: Bool
    let passages: Set<Int64>
    let answers: Set<String>

    /// What one note may take of a reply: some 500 names.
    static let notesBytesMax = 16_384
    /// Of the passages and answers that are asked for; a reply that shows many documents shows some of these.
    private static let askedMax = 200
    private static let nameBytes = 64

    private var things: [String] {
        passages.sorted().prefix(Self.askedMax).map { "passage \($0)" }
            + answers.sorted().prefix(Self.askedMax).map { "answer \($0)" }
    }

    /// Commands that note a reply of this name.
    func notes(of name: Digest256, keptMilliseconds: Int) throws -> [[[UInt8]]] {
        let now = SystemClock.epochMilliseconds() / Int64(max(1, keptMilliseconds))
        var commands: [[[UInt8]]] = []
        for thing in things {
            let key = try Self.key(database, isAnswer, thing, now, keptMilliseconds)
            commands.append([Array("APPEND".utf8), key, Array(name.hex.utf8)])
            // The stretch may have just begun, and the reply be kept until the end of the next.
            commands.append([Array("PEXPIRE".utf8), key, Array("\(2 * keptMilliseconds)".utf8)])
        }
        return commands
    }

    /// Commands that ask for the names of searches, and as many for those of answers.
    func questions(keptMilliseconds: Int) throws -> [[[UInt8]]] {
        let now = SystemClock.epochMilliseconds() / Int64(max(1, keptMilliseconds))
        let end = "\(Self.notesBytesMax / Self.nameBytes * Self.nameBytes - 1)"
        var commands: [[[UInt8]]] = []
        for isAnswer in [false, true] {
            for thing in things {
                for stretch in [now - 1, now] {
                    let key = try Self.key(database, isAnswer, thing, stretch, keptMilliseconds)
                    commands.append([Array("GETRANGE".utf8), key, Array("0".utf8), Array(end.utf8)])
                }
            }
        }
        return commands
    }

    /// The names in the replies to ``questions(keptMilliseconds:)``, each once: of searches, and of answers.
    static func names(in replies: [[UInt8]?]) -> [[[UInt8]]] {
        let half = replies.count / 2
        return [replies[..<half], replies[half...]].map { replies in
            var names: Set<[UInt8]> = []
            for text in replies.compactMap({ $0 }) {
                for start in stride(from: 0, to: text.count - text.count % nameBytes, by: nameBytes) {
                    names.insert(Array(text[start..<start + nameBytes]))
                }
            }
            return Array(names)
        }
    }

    /// A key says nothing of what was asked, and is of one length.
    private static func key(
        _ database: String, _ isAnswer: Bool, _ thing: String, _ stretch: Int64, _ keptMilliseconds: Int
    ) throws -> [UInt8] {
        let kind = isAnswer ? "answer" : "search"
        let text = "\(database) \(kind) \(thing) \(stretch) \(keptMilliseconds)"
        return Array("medallion:shows:".utf8) + Array(try SecondCache.hash(Array(text.utf8)).hex.utf8)
    }
}

extension ReplyCaches {
    /// How many replies servers share that show something of an event; nil where they share none, or nobody says so in time.
    func shared(_ found: Impact, _ tenant: TenantID) async -> (searches: Int, answers: Int)? {
        guard let second, let database = reader?.database(of: tenant) else { return nil }
        let uses = ReplyUses(
            database: database, isAnswer: false, passages: Set(found.documents.flatMap(\.passageIDs)),
            answers: Set(found.answers.map(\.id)))
        return await second.count(uses, keptMilliseconds: millisecondsMax)
    }
}
