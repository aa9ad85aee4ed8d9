import Bytes
import Lake
import Records
import Store
import Testing

@testable import Replay

// MARK: - Replays

extension World {
    func replayStep() throws {
        if runs.isEmpty || runs.count < 2 && Int.random(in: 0..<10, using: &random) == 0 {
            if case .success(let child) = try asProcess(
                "create", { try $0.create(note: "") { _ in .former(logicVersion: "v1-x", settings: "{}") } })
            {
                runs.append(Run(child, place.log))
            }
            return
        }
        guard let run = runs.randomElement(using: &random) else { return }
        let name = "\(run.phase) of \(run.child.number)"
        switch try asProcess(name, { try step(run, $0) }) {
        case .none: runs.removeAll { $0 === run }
        case .success(let isDone):
            guard isDone else { return }
            runs.removeAll { $0 === run }
            let (lake, index) = try place.states()
            guard lake[run.child.number] == .candidate, index[run.child.number] == .candidate else {
                throw Violation(description: "the replay of \(run.child.number) succeeded: \(lake), index \(index)")
            }
        case .failure:
            runs.removeAll { $0 === run }
            try asProcess("giveUp \(run.child.number)") { try $0.giveUp(run.child.number) }
        }
    }

    /// - Returns: whether it is done.
    private func step(_ run: Run, _ steps: GenerationSteps) throws -> Bool {
        switch run.phase {
        case .handover:
            try run.watch.check()
            for source in try place.reader.sources() where run.handovers[source] == nil {
                run.handovers[source] = try Replay.handover(to: run.child.number, source, place.layout, mayWrite: true)
            }
            if try place.reader.sources().allSatisfy({ run.handovers[$0] != nil }) { run.phase = .record }
        case .record:
            for (source, handover) in run.handovers.sorted(by: { $0.key < $1.key }) {
                let start = Int64.random(in: 0...handover, using: &random)
                let end = Bool.random(using: &random) ? handover : Int64.random(in: start...handover, using: &random)
                run.ranges[source] = OffsetRange(start: start, end: end)
            }
            run.left = run.ranges.filter { !$0.value.isEmpty }.keys.sorted()
            try steps.record(run.child.number, replayed: run.ranges, handovers: run.handovers)
            run.phase = .chunks
        case .chunks: try chunk(run)
        case .inherit:
            do throws(IndexError) {
                _ = try place.store.copyParentRows(
                    child: run.child.number, parent: run.child.parent ?? 0,
                    outside: run.ranges.map { (source: $0.key, offsets: $0.value) }, handover: run.handovers,
                    timeoutMilliseconds: Place.limit)
                run.phase = .finish
            } catch {
                guard error.kind == .generationBehind else { throw error }
                try Replay.checkWaiting(for: run.child, place.layout, error)
            }
        case .finish:
            try steps.finish(run.child.number)
            return true
        }
        return false
    }

    private func chunk(_ run: Run) throws {
        guard let source = run.left.first, let range = run.ranges[source] else {
            run.phase = .inherit
            return
        }
        try run.watch.check()
        let writer = try run.writer ?? ReplayWriter(layout: place.layout, source: source, generation: run.child.number)
        run.writer = writer
        let start = run.position ?? range.start
        let end = min(range.end, start + 5)
        try writer.begin(LakeHour(number: 0), firstOffset: start)
        for offset in start..<end {
            let line = Array(Made.derived(source, offset, by: run.child.number).utf8)
            try writer.append(.silver, line: line)
            if Made.isGold(offset) { try writer.append(.gold, line: line) }
        }
        let documents = (start..<end).filter(Made.isGold).map {
            Made.document(source, $0, by: run.child.number, for: run.child.number)
        }
        _ = try place.index.write(documents, timeoutMilliseconds: Place.limit)
        run.position = end
        guard end == range.end else { return }
        try writer.finish(end: end)
        (run.writer, run.position) = (nil, nil)
        run.left.removeFirst()
    }
}
