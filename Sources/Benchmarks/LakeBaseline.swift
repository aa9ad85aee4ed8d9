import Console
import Files
import Glibc
import Processes

/// The C++ program that the lake benchmark runs beside our writer, made from `tools/bench/lake_baseline.cpp`.
struct LakeBaseline: Sendable {
    /// What one topic partition took, as the program prints it.
    struct Result: Sendable {
        let records, silver, gold, rejected, duplicates: Int
        let seconds, processorSeconds, linesSeconds, zstdSeconds, writeSeconds: Double
    }

    private let program: String
    private let folder: String

    /// Compiles the program into `folder`, unless an earlier run of this executable left it beside that. Blocks for some
    /// seconds.
    init(folder: String) throws {
        self.folder = folder
        let source = try Self.source()
        let executable = try ProcessPath.own()
        let kept = Folder.parent(of: executable) + "/lake_baseline"
        if [source, executable].allSatisfy({ Self.isNewer(kept, than: $0) }) {
            program = kept
            return
        }
        let made = folder + "/lake_baseline"
        try Self.compile(source, to: made, log: folder + "/compiler.log")
        // Renamed whole, so that another run never finds half of it; where there is no room, it serves this run alone.
        let isKept =
            (try? Self.run(["cp", "--preserve=mode", made, "\(kept).\(getpid())"], output: "/dev/null")) == true
            && rename("\(kept).\(getpid())", kept) == 0
        program = isKept ? kept : made
    }

    private static func isNewer(_ program: String, than other: String) -> Bool {
        var made = stat()
        var written = stat()
        guard access(program, X_OK) == 0, stat(program, &made) == 0, stat(other, &written) == 0 else { return false }
        return made.st_mtim.tv_sec > written.st_mtim.tv_sec
    }

    private static func compile(_ source: String, to program: String, log: String) throws {
        let libraries = ["-lsimdjson", "-lzstd", "-lcrypto", "-lpthread"]
        for compiler in ["clang++", "c++"] {
            let command = [compiler, "-O3", "-std=c++17", source, "-o", program] + libraries
            if try run(command, output: log) { return }
        }
        let words = text(try File.contents(of: log, bytesMax: 1 << 20))
        throw Failure("\(source) does not compile; a C++ compiler is part of `make setup`. It says: \(words)")
    }

    /// In the repository that this program was built in, or the working folder.
    private static func source() throws -> String {
        let name = "tools/bench/lake_baseline.cpp"
        var folders = [Folder.parent(of: try ProcessPath.own())]
        while let last = folders.last, last != "/", last != "." { folders.append(Folder.parent(of: last)) }
        for folder in [ProcessPath.workingFolder()] + folders where Folder.exists("\(folder)/\(name)") {
            return "\(folder)/\(name)"
        }
        throw Failure("\(name) was not found; run the lake benchmark in a checkout of the repository")
    }

    /// Writes the layers of all inputs at once, one thread each, into `out`.
    func run(_ inputs: [LakeInput], topic: String, logicVersion: String, batch: Int, out: String) throws -> [Result] {
        try Folder.create(out, isDurable: false)
        let log = out + ".log"
        let languages = out + ".languages"
        try Array(inputs.map(\.languages).joined()).withUnsafeBytes { table in
            let file = try File(languages, .readWrite)
            try file.write(table, at: 0)
            try file.truncate(to: table.count)
        }
        let command = [program, topic, logicVersion, languages, "\(batch)", out] + inputs.map(\.path)
        guard try Self.run(command, output: log) else {
            throw Failure("the C++ baseline failed: \(Self.text(try File.contents(of: log, bytesMax: 1 << 20)))")
        }
        return try File.contents(of: log, bytesMax: 1 << 20).split(separator: 0x0A).map { line in
            let fields = String(decoding: line, as: UTF8.self).split(separator: " ").compactMap { Double($0) }
            guard fields.count == 10 else { throw Failure("the C++ baseline printed \(Self.text(Array(line)))") }
            return Result(
                records: Int(fields[0]), silver: Int(fields[1]), gold: Int(fields[2]), rejected: Int(fields[3]),
                duplicates: Int(fields[4]), seconds: fields[5], processorSeconds: fields[6], linesSeconds: fields[7],
                zstdSeconds: fields[8], writeSeconds: fields[9])
        }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.suffix(1_000), as: UTF8.self) }

    private static func run(_ command: [String], output: String) throws -> Bool {
        let descriptor = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("open", output) }
        defer { close(descriptor) }
        let environment = Environment.variables().map { "\($0.key)=\($0.value)" }
        let child = try ChildProcess.spawn(["/usr/bin/env"] + command, environment: environment, output: descriptor)
        return ChildProcess.reap(child).isSuccess
    }
}

/// Where this process runs.
enum ProcessPath {
    /// The executable's path, links followed.
    static func own() throws -> String {
        guard let resolved = realpath("/proc/self/exe", nil) else { throw FileError("find", "/proc/self/exe") }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func workingFolder() -> String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }
}
