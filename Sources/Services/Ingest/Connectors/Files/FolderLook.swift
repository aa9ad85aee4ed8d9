import Files

/// Finds the files of a folder that hold something new, in steps of bounded size.
///
/// A walk goes by what the system knows of each file without opening it. Files are read in the order of their paths once a
/// walk has seen all of them: where the order of records decides which version of a document wins, `2026-02.jsonl` has to
/// come after `2026-01.jsonl`.
final class FolderLook {
    /// Names that one step looks at.
    private static let namesMax = 2_000

    private let root: String
    private var walk: FolderWalk?
    private var found: [String] = []
    private var seenCount = 0
    /// Files that were seen by the last whole walk.
    private(set) var present: Set<String> = []
    private var seen: Set<String> = []
    private var newCount = 0
    /// Files that found no room.
    private(set) var leftOut = 0
    /// Folders and names that the last whole walk could not look into.
    private(set) var unreadable = 0

    init(root: String) { self.root = root }

    /// One step of a walk.
    ///
    /// - Parameters:
    ///   - room: how many files may be found that are not known.
    ///   - isOurs: whether a file is one to be read, by its name.
    ///   - isNew: whether a file holds something that was not read.
    /// - Returns: nil while the walk is under way; then the paths of files to read, in order.
    func step(
        room: Int, isOurs: (_ path: String) -> Bool, isKnown: (_ path: String) -> Bool,
        isNew: (_ path: String, FileFacts) -> Bool
    ) throws -> [String]? {
        if walk == nil {
            walk = try FolderWalk(root)
            (found, seen, newCount, leftOut) = ([], [], 0, 0)
        }
        do {
            try walk?.step(namesMax: Self.namesMax) { entry in
                guard isOurs(entry.path) else { return }
                if !isKnown(entry.path) {
                    guard newCount < room else {
                        leftOut += 1
                        return
                    }
                    newCount += 1
                }
                seen.insert(entry.path)
                if isNew(entry.path, entry.facts) { found.append(entry.path) }
            }
        } catch {
            // The next walk begins at the beginning.
            walk = nil
            throw error
        }
        guard walk?.isDone == true else { return nil }
        unreadable = (walk?.skippedFolders ?? 0) + (walk?.skippedNames ?? 0)
        walk = nil
        swap(&present, &seen)
        seen = []
        defer { found = [] }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}
