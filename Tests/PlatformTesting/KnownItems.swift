import Bytes
import Foundation

/// Titles of the recordings, each to be found by itself: what a word index has to do in every script.
package enum KnownItems {
    /// What a recorded event would make a document of.
    package struct Document: Sendable {
        package var title: String
        package var comment: String
        package var wiki: String
        package var type: String
        package var user: String
        package var domain: String
    }

    /// A title to look up.
    package struct Item: Sendable {
        package var title: String
        package var script: String
    }

    /// Every `step`th event of both collections that has a title.
    package static func documents(step: Int = 1) throws -> [Document] {
        var documents: [Document] = []
        var number = 0
        for name in ["recentchange-reshaped.jsonl.zst", "recentchange-original.jsonl.zst"] {
            for line in try Recordings.bytes(name).split(separator: 0x0A) {
                number += 1
                guard number % step == 0, let document = document(line) else { continue }
                documents.append(document)
            }
        }
        return documents
    }

    private static func document(_ line: ArraySlice<UInt8>) -> Document? {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any],
            let title = object["title"] as? String
        else { return nil }
        func text(_ name: String) -> String { object[name] as? String ?? "" }
        return Document(
            title: title, comment: text("comment"), wiki: text("wiki"), type: text("type"), user: text("user"),
            domain: (object["meta"] as? [String: Any])?["domain"] as? String ?? "")
    }

    /// What is the same in titles of the same words: letters and digits in lower case. The wikis have redirects for every way
    /// to punctuate one title, and no words tell those apart.
    package static func key(of title: String) -> String {
        var key = ""
        for scalar in title.precomposedStringWithCompatibilityMapping.lowercased().unicodeScalars
        where scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
            key.unicodeScalars.append(scalar)
        }
        return key
    }

    /// Up to `countMax` titles of different words of each script that has `countMin` or more; the same for the same seed.
    package static func sample(
        of titles: some Sequence<String>, countMax: Int = 100, countMin: Int = 30, seed: UInt64 = 1
    ) -> [Item] {
        var byScript: [String: [String: String]] = [:]
        for title in titles.sorted() {
            if let script = script(of: title) { byScript[script, default: [:]][key(of: title)] = title }
        }
        var generator = SeededGenerator(seed: seed)
        var items: [Item] = []
        for (script, titles) in byScript.sorted(by: { $0.key < $1.key }) where titles.count >= countMin {
            let chosen = titles.values.sorted().shuffled(using: &generator).prefix(countMax)
            items += chosen.map { Item(title: $0, script: script) }
        }
        return items
    }

    /// The script that most letters of a text are of; of those with kana, Japanese. Nil where it has no letters.
    package static func script(of text: String) -> String? {
        var counts: [String: Int] = [:]
        for scalar in text.unicodeScalars where scalar.properties.isAlphabetic {
            guard let script = ranges.first(where: { $0.scalars.contains(scalar.value) }) else { continue }
            counts[script.name, default: 0] += 1
        }
        if counts["kana"] != nil { return "Japanese" }
        return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }

    /// The blocks of letters that recordings have; enough to group titles.
    private static let ranges: [(name: String, scalars: ClosedRange<UInt32>)] = [
        ("Latin", 0x41...0x24F), ("Latin", 0x1E00...0x1EFF), ("Greek", 0x370...0x3FF), ("Greek", 0x1F00...0x1FFF),
        ("Cyrillic", 0x400...0x52F), ("Armenian", 0x530...0x58F), ("Hebrew", 0x590...0x5FF),
        ("Arabic", 0x600...0x6FF), ("Arabic", 0x750...0x77F), ("Arabic", 0xFB50...0xFEFC),
        ("Devanagari", 0x900...0x97F),
        ("Bengali", 0x980...0x9FF), ("Gurmukhi", 0xA00...0xA7F), ("Gujarati", 0xA80...0xAFF), ("Odia", 0xB00...0xB7F),
        ("Tamil", 0xB80...0xBFF), ("Telugu", 0xC00...0xC7F), ("Kannada", 0xC80...0xCFF),
        ("Malayalam", 0xD00...0xD7F), ("Sinhala", 0xD80...0xDFF), ("Thai", 0xE00...0xE7F), ("Lao", 0xE80...0xEFF),
        ("Tibetan", 0xF00...0xFFF), ("Burmese", 0x1000...0x109F), ("Georgian", 0x10A0...0x10FF),
        ("Hangul", 0x1100...0x11FF), ("Ethiopic", 0x1200...0x139F), ("Khmer", 0x1780...0x17FF),
        ("Mongolian", 0x1800...0x18AF), ("kana", 0x3040...0x30FF), ("Hangul", 0x3130...0x318F),
        ("Han", 0x3400...0x9FFF),
        ("Hangul", 0xAC00...0xD7AF), ("Han", 0xF900...0xFAFF), ("Han", 0x20000...0x3FFFF),
    ]
}
