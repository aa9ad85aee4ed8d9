import Files
package import Sources

/// Finds the files that paths lead to: files, and what lies in folders.
package enum GivenSearch {
    /// Of one run.
    package static let filesMax = 1_000_000
    /// Names of a folder that are looked at in one step.
    private static let namesMax = 2_000

    /// The files in the order in which they are read: of the paths as they were given, of a folder by the files' paths. Each
    /// comes once.
    ///
    /// - Parameters:
    ///   - format: what they hold; nil where the ends of their names say it. Files of a folder that say nothing are passed by.
    ///   - tally: told what cannot be read.
    package static func files(_ paths: [String], format: FileFormat?, tally: FileTally) -> [GivenFile] {
        var found: [GivenFile] = []
        var seen: Set<String> = []
        for path in paths {
            do throws(FileFault) {
                for file in try files(path, format, room: filesMax - found.count, tally)
                where seen.insert(file.path).inserted {
                    found.append(file)
                }
            } catch {
                tally.refuse(path, error)
            }
        }
        return found
    }

    /// Files that would be one document, because they have one id: of each such id the files as they were named.
    package static func sharedIDs(_ files: [GivenFile]) -> [(id: String, names: [String])] {
        var names: [String: [String]] = [:]
        for file in files where file.kind.format.isWhole { names[file.id, default: []].append(file.name) }
        return names.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map { (id: $0.key, names: $0.value) }
    }

    private static func files(
        _ path: String, _ format: FileFormat?, room: Int, _ tally: FileTally
    ) throws(FileFault) -> [GivenFile] {
        if path == GivenFile.standardInput {
            let kind = FileKind(format: format ?? .jsonLines, packing: .none)
            return [GivenFile(path: path, kind: kind, id: "stdin", name: "standard input", bytes: 0)]
        }
        do {
            let (resolved, place) = try Folder.resolve(path)
            switch place {
            case .folder: return try inFolder(resolved, named: path, format, room: room, tally)
            case .other:
                throw FileFault(
                    .unreadable,
                    "is a pipe or a device; give `-` and have the shell send it to standard input, such as by `<`")
            case .file(let facts):
                guard path.split(separator: "/").last?.hasPrefix(".") != true else {
                    throw FileFault(
                        .unreadable,
                        "has a name that begins with a dot, as files have that are not whole yet; rename it, or give `-` and "
                            + "send it to standard input")
                }
                // A link may have another name than what it leads to.
                let kind = FileKind(path: path, format: format) ?? FileKind(path: resolved, format: format)
                guard let kind else { break }
                let name = String(path.split(separator: "/").last ?? "")
                return [
                    GivenFile(
                        path: String(resolved.dropFirst()), kind: kind, id: name, name: path, bytes: facts.size)
                ]
            }
        } catch let fault as FileFault {
            throw fault
        } catch {
            throw FileFault(.unreadable, "\(error)")
        }
        throw FileFault(
            .unreadable,
            "is no file whose name says what it holds (\(FileFormat.allCases.flatMap(\.suffixes).joined(separator: ", ")), "
                + "each also with .gz or .zst): say it with --format")
    }

    private static func inFolder(
        _ folder: String, named name: String, _ format: FileFormat?, room: Int, _ tally: FileTally
    ) throws(FileError) -> [GivenFile] {
        var walk = try FolderWalk(folder)
        var found: [GivenFile] = []
        var leftOut = 0
        let root = folder == "/" ? "" : String(folder.dropFirst()) + "/"
        while !walk.isDone {
            try walk.step(namesMax: namesMax) { entry in
                guard let kind = FileKind(path: entry.path, format: format) else { return }
                guard found.count < room else {
                    leftOut += 1
                    return
                }
                found.append(
                    GivenFile(
                        path: root + entry.path, kind: kind, id: entry.path,
                        name: Folder.withoutTrailingSlashes(name) + "/" + entry.path, bytes: entry.facts.size))
            }
        }
        let unreadable = walk.skippedFolders + walk.skippedNames
        if unreadable > 0 {
            tally.refuse(
                name,
                FileFault(
                    .unreadable,
                    "\(unreadable) folders or names in it are left out: too deep (\(FolderWalk.depthMax) levels at most), "
                        + "not readable, or no UTF-8"))
        }
        if leftOut > 0 {
            tally.refuse(name, FileFault(.unreadable, "\(leftOut) files more than \(filesMax) are left out"))
        }
        return found.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
    }
}
