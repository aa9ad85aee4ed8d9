import Bytes

/// Valid events whose texts are whatever a stranger may put there: at their bound, one byte over, huge, incompressible, of
/// every script, with escaped U+0000 and lone surrogates; and whose numbers lie at the ends of 64 bits. A whole run follows
/// from its seed.
struct HostileEvents {
    /// One event as it goes to the topic.
    struct Event {
        let payload: [UInt8]
        /// The id as the index has to know it; nil where the JSON is not a text's.
        let id: String?
    }

    private enum Length {
        case short, bound, over, huge
    }

    /// Ranges of scalars of which a text is made.
    private static let scripts: [ClosedRange<UInt32>] = [
        0x61...0x7A, 0x20...0x7E, 0xC0...0x17F, 0x391...0x3C9, 0x410...0x44F, 0x5D0...0x5EA, 0x621...0x64A,
        0x904...0x939, 0xE01...0xE2E, 0x1100...0x11FF, 0x3041...0x3096, 0x4E00...0x9FA5, 0xAC00...0xD7A3,
        0x300...0x36F, 0x2000...0x206F, 0xE000...0xF8FF, 0xFFF0...0xFFFF, 0x1F300...0x1F64F, 0x10400...0x1044F,
        0x20000...0x2A6DF, 0x1...0x1F, 0x7F...0x9F,
    ]
    /// Texts of which Postgres' parser makes more than one word each.
    private static let shapes: [@Sendable (UInt64) -> String] = [
        { "w\($0) " }, { "a\($0)-b\($0)-c " }, { "http://h\($0).org/p\($0)/q?r=\($0) " }, { "u\($0)@h\($0).org " },
        { "/a\($0)/b\($0).c " }, { "<b\($0) c='\($0)'> &amp;#\($0); " }, { "\($0).\($0)e\($0 % 300) " },
        { "'\($0)' & !\($0):*AB | (\($0) " },
    ]

    /// Numbers that a narrower column, or a difference of two, cannot hold.
    private static let extremes = [
        Int64.min, Int64.min + 1, Int64(Int32.min) - 1, -1, Int64(Int32.max) + 1, Int64.max - 1, Int64.max,
    ]

    private var random: SeededGenerator
    /// Of the numbers, so that the texts of a seed stay what they are.
    private var integers: SeededGenerator
    private var number = 0
    /// The longest titles.
    let titleBytesMax: Int
    /// Numbers of fields as often as they are to be the worst; the longest texts seldom, for the time that they take.
    private static let worst = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5, 6, 6, 7, 7, 7, 8]

    init(seed: UInt64, titleBytesMax: Int = 60_000) {
        random = SeededGenerator(seed: seed)
        integers = SeededGenerator(seed: seed &+ 1_000)
        self.titleBytesMax = titleBytesMax
    }

    mutating func next() -> Event {
        number += 1
        var isText = true
        // One of the fields is the worst; the others are mostly as they should be.
        let worst = Self.worst[Int.random(in: 0..<Self.worst.count, using: &random)]
        func isWorst(_ place: Int) -> Bool { place == worst }
        let id = "e\(number)-" + text(255 - "e\(number)-".utf8.count, isWorst(0), 20_000)
        let idJSON = json(id, isWorst(0), &isText)
        let hasNull = isWorst(0) && Int.random(in: 0..<8, using: &random) == 0
        let meta = [
            #""id":""# + idJSON + (hasNull ? #"\u0000""# : #"""#), #""dt":"2026-11-21T06:30:00Z""#,
            #""domain":""# + json(text(255, isWorst(1), 20_000), isWorst(1), &isText) + #"""#,
            #""uri":""# + json(text(4_096, isWorst(2), 40_000), isWorst(2), &isText) + #"""#,
        ]
        let type = isWorst(3) && Bool.random(using: &random) ? json(text(255, true, 9_000), true, &isText) : "edit"
        let usual = Int64.random(in: -2...9, using: &random)
        let namespace = integer(usual)
        let length = #""length":{"old":\#(integer(1_000)),"new":\#(integer(1_200))}"#
        let revision = #""revision":{"old":\#(integer(1)),"new":\#(integer(2))}"#
        let members = [
            #""$schema":"/mediawiki/recentchange/1.0.1""#, #""meta":{"# + meta.joined(separator: ",") + "}",
            #""type":""# + type + #"""#, #""namespace":\#(namespace)"#,
            #""title":""# + json(text(1_024, isWorst(4), titleBytesMax), isWorst(4), &isText) + #"""#,
            #""comment":""# + json(text(65_536, isWorst(5), 200_000), isWorst(5), &isText) + #"""#,
            #""user":""# + json(text(1_024, isWorst(6), 60_000), isWorst(6), &isText) + #"""#,
            #""wiki":""# + json(text(255, isWorst(7), 20_000), isWorst(7), &isText) + #"""#,
            #""bot":false"#, length, revision,
        ]
        return Event(payload: Array(("{" + members.joined(separator: ",") + "}").utf8), id: isText ? id : nil)
    }

    /// What is usual, or now and then one of the extremes.
    private mutating func integer(_ usual: Int64) -> Int64 {
        guard Int.random(in: 0..<6, using: &integers) == 0 else { return usual }
        return Self.extremes[Int.random(in: 0..<Self.extremes.count, using: &integers)]
    }

    /// - Parameters:
    ///   - bytesMax: the field's bound.
    ///   - isWorst: whether it may be longer, and is often as long as it may be.
    ///   - hugeBytesMax: the longest of what is too long.
    private mutating func text(_ bytesMax: Int, _ isWorst: Bool, _ hugeBytesMax: Int) -> String {
        let length: Length
        switch isWorst ? Int.random(in: 0..<10, using: &random) : 0 {
        case 0..<2: length = .short
        case 2..<7: length = .bound
        case 7..<9: length = .over
        default: length = .huge
        }
        switch length {
        case .short: return fill(Int.random(in: 0...min(bytesMax, 60), using: &random))
        case .bound: return fill(bytesMax)
        case .over: return fill(bytesMax + 1)
        case .huge: return fill(Int.random(in: bytesMax...max(bytesMax, hugeBytesMax), using: &random))
        }
    }

    /// A text of exactly so many bytes; the longest are some kilobytes again and again.
    private mutating func fill(_ count: Int) -> String {
        guard count <= 20_480 || Int.random(in: 0..<8, using: &random) == 0 else {
            let part = fill(4_096)
            return String(repeating: part, count: count / 4_096) + fill(count % 4_096)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        func room(_ text: String) -> Bool { bytes.count + text.utf8.count <= count }
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            let shape = Self.shapes[Int.random(in: 0..<Self.shapes.count, using: &random)]
            while true {
                let word = shape(random.next() % 1_000_000)
                guard room(word) else { break }
                bytes += word.utf8
            }
        case 1:
            let letter = scalar()
            while room(letter) { bytes += letter.utf8 }
        default:
            let isMixed = Bool.random(using: &random)
            var script = Self.scripts[Int.random(in: 0..<Self.scripts.count, using: &random)]
            while true {
                if isMixed { script = Self.scripts[Int.random(in: 0..<Self.scripts.count, using: &random)] }
                let letter = scalar(of: script)
                guard room(letter) else { break }
                bytes += letter.utf8
            }
        }
        while bytes.count < count { bytes.append(UInt8(ascii: "x")) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func scalar(of script: ClosedRange<UInt32>? = nil) -> String {
        let script = script ?? Self.scripts[Int.random(in: 0..<Self.scripts.count, using: &random)]
        return Unicode.Scalar(UInt32.random(in: script, using: &random)).map { String($0) } ?? "?"
    }

    /// The text between quotes; now and then every scalar as an escape, or something that is no text.
    private mutating func json(_ text: String, _ isWorst: Bool, _ isText: inout Bool) -> String {
        let escapesAll = isWorst && text.utf8.count < 5_000 && Int.random(in: 0..<4, using: &random) == 0
        var json: [UInt8] = []
        json.reserveCapacity(text.utf8.count + 16)
        for unit in text.utf16 where escapesAll { json += Self.escape(unit) }
        if !escapesAll {
            for byte in text.utf8 {
                switch byte {
                case 0..<0x20: json += Self.escape(UInt16(byte))
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): json += [UInt8(ascii: "\\"), byte]
                default: json.append(byte)
                }
            }
        }
        if isWorst, Int.random(in: 0..<20, using: &random) == 0 {
            isText = false
            json += Self.escape(UInt16.random(in: 0xD800...0xDFFF, using: &random))
        }
        return String(decoding: json, as: UTF8.self)
    }

    private static func escape(_ unit: UInt16) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "\\"), UInt8(ascii: "u")]
        Hex.append([UInt8(unit >> 8), UInt8(unit & 0xFF)], to: &bytes)
        return bytes
    }
}
