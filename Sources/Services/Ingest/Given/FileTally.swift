import Synchronization

/// What was made of given files so far; the connector's lane counts, others read.
package final class FileTally: Sendable {
    /// The counts.
    package struct Figures: Sendable, Equatable {
        /// Files that were read to their ends, and those among them in which there was nothing new.
        package var files = 0
        package var unchangedFiles = 0
        /// Documents that were handed over.
        package var documents = 0
        /// Of these, those that are acknowledged.
        package var acknowledged = 0
        /// Bytes of files as they lie on the disk: of those that were read to their ends, and of the one that is being read.
        package var finishedBytes = 0
        package var currentBytes = 0
        /// As people know it; empty where none is being read.
        package var currentFile = ""
        /// Lines and rows that were left out when files were read in which there is nothing new.
        package var refusedBefore = 0
        /// What was left out, by rule.
        package var refusals: [String: Int] = [:]
        /// The first of them.
        package var firstRefusals: [String] = []

        /// All that was left out.
        package var refused: Int { refusals.values.reduce(0, +) }
        /// Bytes that were read.
        package var bytes: Int { finishedBytes + currentBytes }
    }

    /// Of so many refusals the summary says what is wrong; the others are counted.
    package static let firstRefusalsMax = 50

    private let state = Mutex(Figures())

    package init() {}

    /// The counts at this moment.
    package var figures: Figures { state.withLock { $0 } }

    func count(_ batch: SourceBatch) {
        guard !batch.events.isEmpty || !batch.refusals.isEmpty else { return }
        state.withLock { figures in
            figures.documents += batch.events.count
            for refusal in batch.refusals { Self.count(refusal, in: &figures) }
        }
    }

    func arrived(_ count: Int) { state.withLock { $0.acknowledged += count } }

    /// Notes something that was left out before any file was read.
    package func refuse(_ place: String, _ fault: FileFault) {
        state.withLock { figures in
            Self.count(SourceRefusal(place: place, reason: fault.description, rule: fault.rule), in: &figures)
        }
    }

    private static func count(_ refusal: SourceRefusal, in figures: inout Figures) {
        figures.refusals[(refusal.rule ?? .unreadable).rawValue, default: 0] += 1
        if figures.firstRefusals.count < firstRefusalsMax { figures.firstRefusals.append(refusal.description) }
    }

    func reading(_ file: String, bytes: Int) {
        state.withLock { figures in
            figures.currentFile = file
            figures.currentBytes = bytes
        }
    }

    /// - Parameters:
    ///   - isUnchanged: there was nothing new in it.
    ///   - refusedBefore: what was left out when it was read.
    func finished(bytes: Int, isUnchanged: Bool, refusedBefore: Int = 0) {
        state.withLock { figures in
            figures.files += 1
            if isUnchanged { figures.unchangedFiles += 1 }
            figures.refusedBefore += refusedBefore
            figures.finishedBytes += bytes
            figures.currentBytes = 0
            figures.currentFile = ""
        }
    }
}
