import Bytes
import Files
import Ingest
import PlatformTesting
import Synchronization
import Testing

/// Refuses one of the next changes to the file system.
private final class OneFault: FileWitness {
    private let left: Mutex<Int>

    init(after count: Int) { left = Mutex(count) }

    func willMake(_ change: FileChange) throws(FileError) {
        let isNow = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isNow { throw FileError("write", "the state", code: 28) }
    }
}

/// Random files, random changes, kills between and within any two steps: nothing is lost, and nothing is taken for a copy of
/// something else.
@Suite(.timeLimit(.minutes(5)))
struct FilesPropertyTests {
    private struct Model {
        /// The lines of each file.
        var files: [String: [String]] = [:]
        /// What each file held at some time, to come back to.
        var past: [String: [[String]]] = [:]
        var version = 0
        var names = ["a.jsonl", "b.jsonl", "c/d.jsonl", "e.jsonl.gz", "f.jsonl.zst"]

        mutating func line(of name: String, _ generator: inout SeededGenerator) -> String {
            version += 1
            let padding = String(repeating: "x", count: Int.random(in: 0..<40, using: &generator))
            return #"{"id":"\#(name)-\#(Int.random(in: 0..<4, using: &generator))","v":\#(version),"p":"\#(padding)"}"#
        }
    }

    private func store(_ lines: [String], _ name: String, in scene: FilesScene, beside: Bool) throws {
        var bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
        if name.hasSuffix(".gz") { bytes = Packing.gzip(bytes) }
        if name.hasSuffix(".zst") { bytes = try Packing.zstd(bytes) }
        try Folder.create(Folder.parent(of: scene.path(name)))
        if beside {
            try File.replace(scene.path(name), with: bytes)
        } else {
            try scene.write(bytes, to: name)
        }
    }

    private func change(_ model: inout Model, _ scene: FilesScene, _ generator: inout SeededGenerator) throws {
        guard let name = model.names.randomElement(using: &generator) else { return }
        let lines = model.files[name]
        let beside = Bool.random(using: &generator)
        func keep() { if let lines { model.past[name, default: []].append(lines) } }
        switch Int.random(in: 0..<10, using: &generator) {
        case 0...4:
            let more = (0...Int.random(in: 0..<6, using: &generator)).map { _ in model.line(of: name, &generator) }
            if !name.hasSuffix(".jsonl") || lines == nil {
                try store((lines ?? []) + more, name, in: scene, beside: beside)
            } else {
                try scene.append(more.map { $0 + "\n" }.joined(), to: name)
            }
            model.files[name] = (lines ?? []) + more
        case 5:
            keep()
            let new = (0..<8).map { _ in model.line(of: name, &generator) }
            try store(new, name, in: scene, beside: beside)
            model.files[name] = new
        case 6:
            // One line in the middle, of the same length.
            guard var lines, let index = lines.indices.randomElement(using: &generator) else { return }
            keep()
            lines[index] = lines[index].replacing("x", with: "y", maxReplacements: 1)
            try store(lines, name, in: scene, beside: beside)
            model.files[name] = lines
        case 7, 8:
            guard let old = model.past[name]?.randomElement(using: &generator) else { return }
            keep()
            try store(old, name, in: scene, beside: beside)
            model.files[name] = old
        default:
            guard lines != nil else { return }
            keep()
            try Folder.remove(scene.path(name))
            model.files[name] = nil
        }
    }

    private func id(of line: [UInt8]) -> Substring {
        String(decoding: line, as: UTF8.self).dropFirst(7).prefix { $0 != "\"" }
    }

    @Test("nothing is lost, whenever it is killed", arguments: [UInt64(1), 2, 3, 17, 23, 4_711])
    func nothingIsLost(named: UInt64) throws {
        let rounds = LongTests.areWanted ? 20 : 3
        for round in 0..<rounds { try run(seed: LongTests.seed(named) &+ UInt64(round) &* 1_000_003) }
    }

    private func run(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let scene = try FilesScene { options in
            options.eventsMax = 5
            options.filesPerBatchMax = 2
            options.wholeCheckBytesMax = .max
        }
        var model = Model()
        for _ in 0..<250 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0...4: try change(&model, scene, &generator)
            case 5...12: try scene.step()
            case 13...16: try scene.deliver(Int.random(in: 1...6, using: &generator))
            case 17:
                // A full disk for one change, and the process goes on.
                let fault = OneFault(after: Int.random(in: 1...6, using: &generator))
                FileWatch.$witness.withValue(fault) { for _ in 0..<3 { _ = try? scene.step() } }
            default: try kill(scene, &generator)
            }
        }
        scene.ahead = 60_000
        try scene.drain()
        check(model, scene, seed)
    }

    /// What was in flight has arrived up to a place in each topic partition, and a line of the state may be torn.
    private func kill(_ scene: FilesScene, _ generator: inout SeededGenerator) throws {
        if Bool.random(using: &generator) {
            let fault = OneFault(after: Int.random(in: 1...3, using: &generator))
            FileWatch.$witness.withValue(fault) {
                _ = try? scene.deliver(2)
                _ = try? scene.step()
            }
        }
        var left = (0..<3).map { _ in Int.random(in: 0..<6, using: &generator) }
        if Bool.random(using: &generator) {
            try File(scene.options.statePath, .append).append(Array(#"{"file":"a.jsonl","inc"#.utf8))
        }
        try scene.kill { event in
            let partition = event.key?.reduce(0) { $0 + Int($1) } ?? 0
            left[partition % 3] -= 1
            return left[partition % 3] >= 0
        }
    }

    private func check(_ model: Model, _ scene: FilesScene, _ seed: UInt64) {
        var values: [[UInt8]: [UInt8]] = [:]
        for event in scene.topic {
            let before = values.updateValue(event.value, forKey: event.eventID)
            #expect(before == nil || before == event.value, "seed \(seed): one id for two lines")
        }
        var latest: [Substring: [UInt8]] = [:]
        for event in scene.distinct { latest[id(of: event.value)] = event.value }
        for (name, lines) in model.files {
            var expected: [Substring: String] = [:]
            for line in lines { expected[id(of: Array(line.utf8))] = line }
            for (id, line) in expected {
                let found = latest[id].map { String(decoding: $0, as: UTF8.self) }
                #expect(found == line, "seed \(seed): \(name)")
            }
        }
        #expect(scene.refusals.isEmpty, "seed \(seed): \(scene.refusals)")
    }

    @Test("without kills every line arrives once", arguments: [UInt64(5), 6, 7])
    func onceWithoutKills(named: UInt64) throws {
        let seed = LongTests.seed(named)
        var generator = SeededGenerator(seed: seed)
        let scene = try FilesScene { $0.eventsMax = 7 }
        var expected: [String] = []
        var version = 0
        for _ in 0..<120 {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                version += 1
                let line = #"{"id":"\#(version)"}"#
                // Cut anywhere: the rest of a line may come much later.
                let cut = Int.random(in: 0...line.count, using: &generator)
                try scene.append(String(line.prefix(cut)), to: "a.jsonl")
                try scene.step()
                try scene.append(line.dropFirst(cut) + "\n", to: "a.jsonl")
                expected.append(line)
            case 1, 2: try scene.step()
            default: try scene.deliver(Int.random(in: 1...9, using: &generator))
            }
        }
        try scene.drain()
        #expect(scene.topic.map { String(decoding: $0.value, as: UTF8.self) } == expected, "seed \(seed)")
    }
}
