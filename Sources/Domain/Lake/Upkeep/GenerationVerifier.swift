import Files
import Records

/// What ``LakeVerifier`` checks about generations as a whole: lines that are there are right, but are all there?
struct GenerationVerifier {
    private let log: GenerationLog
    private let generations: [LakeGeneration]

    init(layout: LakeLayout) throws(LakeError) {
        log = GenerationLog(layout: layout)
        generations = try log.read()
    }

    /// The parts that commits of an hour lack: from its handover on, each has one of every generation that is fed.
    func missingParts(
        _ hour: InventoryHour, _ find: (_ place: String, _ problem: String) -> Void
    ) throws(LakeError) {
        guard hour.replay == nil else { return }
        for generation in generations where generation.isFed {
            guard let start = generation.fedFrom(hour.source) else { continue }
            var missing: [OffsetRange] = []
            for commit in hour.commits where commit.range.end > start && !commit.range.isEmpty {
                guard !commit.parts.contains(where: { $0.generation == generation.number }) else { continue }
                if let last = missing.last, last.end == commit.range.start {
                    missing[missing.count - 1].end = commit.range.end
                } else {
                    missing.append(commit.range)
                }
            }
            // A writer may go on beside this: it leaves a generation out once the list says that it was given up.
            guard !missing.isEmpty, try log.read().first(where: { $0.number == generation.number })?.isFed == true
            else { continue }
            for range in missing {
                find(
                    "\(hour.source), offsets \(range)",
                    "no part of generation \(generation.number), which is \(generation.state.rawValue) and fed from offset "
                        + "\(start) on: it lacks what was made of these offsets")
            }
        }
    }

    /// The rest of a torn append to the list, which readers leave out and the next change takes away.
    func tornTail() throws(LakeError) -> (place: String, problem: String)? {
        guard Folder.exists(log.path) else { return nil }
        let bytes = try LakeError.placed(log.path) { try File.contents(of: log.path) }
        let end = try RecordLines(bytes, path: log.path).end
        guard end < bytes.count else { return nil }
        return ("\(log.path), byte \(end)", "\(bytes.count - end) bytes behind the last whole entry")
    }
}

extension LakeVerifier {
    /// Reports what ``GenerationVerifier`` finds in an hour.
    func verifyGenerations(_ hour: InventoryHour) {
        do throws(LakeError) {
            try GenerationVerifier(layout: reader.layout).missingParts(hour) { find($0, $1) }
        } catch {
            find(reader.layout.generationLog, "\(error)")
        }
    }

    /// Reports a list of generations that ends within an entry.
    func verifyGenerationList() {
        do throws(LakeError) {
            if let found = try GenerationVerifier(layout: reader.layout).tornTail() { find(found.place, found.problem) }
        } catch {
            // That it cannot be read is reported where it is first needed.
        }
    }
}
