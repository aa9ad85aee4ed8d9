/// What a file may not do.
enum Rules {
    static let lineMax = 400
    static let functionLineMax = 70

    static func findings(in file: SourceFile, requirements: Set<String>) -> [Finding] {
        forbiddenWords(in: file) + forceUnwraps(in: file) + fileLength(of: file) + functionLengths(in: file)
            + missingComments(in: file, requirements: requirements) + layering(of: file)
    }

    // MARK: Words

    /// Each is at best a proof that belongs in waivers.txt.
    static let words = [
        "try!", "as!", "fatalError", "@unchecked Sendable", "nonisolated(unsafe)", "FoundationNetworking",
    ]

    static func forbiddenWords(in file: SourceFile) -> [Finding] {
        file.code.enumerated().flatMap { index, line in
            words.filter { line.contains($0) }.map { word in
                Finding(rule: word, path: file.path, line: index + 1, message: "\(word) is not for this codebase")
            }
        }
    }

    static func forceUnwraps(in file: SourceFile) -> [Finding] {
        let pattern = /[A-Za-z0-9_)\]]!(?!=)/
        return file.code.enumerated().compactMap { index, line in
            let found = line.matches(of: pattern).filter { match in
                !line[..<match.range.upperBound].hasSuffix("try!") && !line[..<match.range.upperBound].hasSuffix("as!")
            }
            guard !found.isEmpty else { return nil }
            return Finding(rule: "force unwrap", path: file.path, line: index + 1, message: "unwrap with guard or if")
        }
    }

    // MARK: Lengths

    static func fileLength(of file: SourceFile) -> [Finding] {
        let count = file.lines.count - (file.lines.last == "" ? 1 : 0)
        guard count > lineMax else { return [] }
        return [Finding(rule: "file length", path: file.path, line: lineMax + 1, message: "\(count) lines; split it")]
    }

    static func functionLengths(in file: SourceFile) -> [Finding] {
        let start =
            /^\s*(?:@[A-Za-z]+(?:\([^)]*\))?\s+)*(?:[a-z]+(?:\([a-z]+\))?\s+)*(?:func\s|init[?(<]|deinit\b|subscript[(<])/
        // Nearly every line is neither, and this is quicker told.
        let openers = ["func", "init", "deinit", "subscript"]
        var result: [Finding] = []
        for (index, line) in file.code.enumerated()
        where openers.contains(where: { line.contains($0) }) && line.contains(start) {
            guard let end = bodyEnd(from: index, in: file.code) else { continue }
            let count = end - index + 1
            if count > functionLineMax {
                result.append(
                    Finding(
                        rule: "function length", path: file.path, line: index + 1,
                        message: "\(count) lines; cut it into steps with names"))
            }
        }
        return result
    }

    /// The line of the brace that closes the first body opened at or after `start`; nil for a requirement without one.
    private static func bodyEnd(from start: Int, in code: [Substring]) -> Int? {
        var depth = 0
        var parentheses = 0
        for index in start..<code.count {
            // A requirement of a protocol ends before another declaration or the protocol's own brace.
            for character in code[index] {
                switch character {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{" where parentheses == 0 || depth > 0: depth += 1
                case "{": depth += 1
                case "}":
                    depth -= 1
                    if depth <= 0 { return depth == 0 ? index : nil }
                default: break
                }
            }
            if depth == 0 && parentheses == 0 && index > start && code[index].allSatisfy(\.isWhitespace) { return nil }
        }
        return nil
    }

    // MARK: Comments

    /// Requirements of the standard library's protocols, whose meaning is known.
    static let understood = [
        "var description", "var debugDescription", "func hash(into", "static func <", "static func ==", "static func +",
        "func next()", "var testDescription", "var isRetriable",
    ]

    /// A declaration that other modules see says what it is for. Exempt are ``understood`` ones, what implements a
    /// requirement of a protocol of this package (the requirement is documented), initializers that cannot fail, members
    /// right below a documented one (a group under one comment), and extensions.
    static func missingComments(in file: SourceFile, requirements: Set<String> = []) -> [Finding] {
        let declaration = /^\s*(?:@[A-Za-z]+(?:\([^)]*\))?\s+)*(?:package|public)\s+(?!import|extension|override)/
        var result: [Finding] = []
        for (index, line) in file.code.enumerated() where line.contains(declaration) {
            if understood.contains(where: { line.contains($0) }) || isInfallibleInit(index, in: file.code) { continue }
            if let name = memberName(line), requirements.contains(name) { continue }
            if !isDocumented(index, in: file) {
                let text = file.lines[index].drop { $0 == " " }
                result.append(
                    Finding(rule: "doc comment", path: file.path, line: index + 1, message: "no comment on: \(text)"))
            }
        }
        return result
    }

    /// The functions and variables that the protocols of `files` require.
    static func requirements(in files: [SourceFile]) -> Set<String> {
        var names: Set<String> = []
        for file in files {
            var end = -1
            for (index, line) in file.code.enumerated() {
                if index > end, line.contains("protocol"),
                    line.contains(/^\s*(?:package |public |private |fileprivate )?protocol\s/)
                {
                    end = bodyEnd(from: index, in: file.code) ?? index
                } else if index < end, let name = memberName(line) {
                    names.insert(name)
                }
            }
        }
        return names
    }

    /// `f` of `package func f(…)`, `v` of `var v: …`.
    private static func memberName(_ line: Substring) -> String? {
        line.firstMatch(of: /\b(?:func|var|let)\s+([A-Za-z_][A-Za-z0-9_]*)/).map { String($0.output.1) }
    }

    private static func isInfallibleInit(_ index: Int, in code: [Substring]) -> Bool {
        guard code[index].contains(/\sinit[(<]/) else { return false }
        var signature = ""
        for line in code[index...].prefix(12) {
            signature += line
            if line.contains("{") { break }
        }
        return !signature.contains(/\bthrows\b/)
    }

    private static func isDocumented(_ index: Int, in file: SourceFile) -> Bool {
        var above = index - 1
        while above >= 0 {
            let line = file.lines[above].drop { $0 == " " }
            if line.hasPrefix("///") { return true }
            let isAttribute = line.hasPrefix("@") && !line.contains(" func ") && !line.contains(" var ")
            let isSibling = line.hasPrefix("package ") || line.hasPrefix("public ")
            let isPlainComment = line.hasPrefix("//")
            guard isAttribute || isSibling || isPlainComment else { return false }
            above -= 1
        }
        return false
    }

    // MARK: Layers

    /// From where each layer may import; the system's own modules are for all.
    static let allowedLayers: [String: Set<String>] = [
        "Base": [], "Clients": ["C", "Base"], "Runtime": ["Base"], "Domain": ["Domain", "Clients", "Base"],
        "Services": ["Runtime", "Domain", "Clients", "Base"],
        "Console": ["Runtime", "Clients", "Base"],
        "Benchmarks": ["Console", "Services", "Runtime", "Domain", "Clients", "Base"],
        "medallion": ["Benchmarks", "Console", "Services", "Runtime", "Domain", "Clients", "Base"],
    ]

    /// Arrows inside or across layers that the table above would forbid, each for the reason beside it.
    static let extraArrows: Set<String> = [
        "HTTPServer → EventLoop",  // libevent is wrapped once; the broker shares the loop
        "ObjectStorage → HTTPClient",  // S3 is HTTP with a signature that libcurl computes; it is wrapped once
        "HTTPClient → Gzip", "HTTPClient → Zstd",  // what proxies pack is unpacked with the wrappers that are there
        "Forms → JSONScan",  // typed inputs are JSON, or text beside it
        // Typed endpoints stand on the server and read JSON.
        "HTTPEndpoints → HTTPServer", "HTTPEndpoints → Forms", "HTTPEndpoints → JSONScan",
        "ServiceLifecycle → Concurrency",  // threads wait and wake one another in one way
        "ServiceLifecycle → Telemetry",  // a group tells its starts and stops
        // Checks have a time limit and repeat until a stop, and freshness is a metric.
        "Health → Concurrency", "Health → ServiceLifecycle", "Health → Telemetry",
        "Text → CICU", "Text → CStemmer",  // rules of words, of which the libraries know the scripts and languages
        "Arms → CVectorScan",  // loops of the arms' own, in C for the sake of the processor's wide instructions
        "Simulator → Ingest",  // its recorder reads the stream with the producer's parser
    ]

    /// No services of their own: declared topics, the clients' statistics, logs that cannot be read are the same for all who
    /// use a broker.
    static let sharedByServices: Set<String> = ["KafkaAccess"]

    /// Pure rules: no client at all.
    static let clientless: Set<String> = ["Records", "Logic", "Retrieval"]

    static let system: Set<String> = [
        "Glibc", "Synchronization", "Foundation", "FoundationEssentials", "Dispatch", "Swift",
    ]

    static func layering(of file: SourceFile) -> [Finding] {
        imports(in: file).compactMap { line, imported in
            guard let reason = refusal(of: imported, by: file) else { return nil }
            return Finding(rule: "layering", path: file.path, line: line, message: "import \(imported): \(reason)")
        }
    }

    static func imports(in file: SourceFile) -> [(line: Int, module: String)] {
        let pattern =
            /^\s*(?:@[a-zA-Z_]+\s+)*(?:(?:package|public|internal|private|fileprivate)\s+)?import\s+(?:(?:struct|class|enum|func|protocol|typealias|var|let)\s+)?([A-Za-z_][A-Za-z0-9_]*)/
        return file.code.enumerated().compactMap { index, line in
            line.firstMatch(of: pattern).map { (index + 1, String($0.output.1)) }
        }
    }

    private static func refusal(of imported: String, by file: SourceFile) -> String? {
        if system.contains(imported) { return nil }
        guard let target = layerOfModule[imported] else { return "not a module of this package" }
        if extraArrows.contains("\(file.module) → \(imported)") { return nil }
        if clientless.contains(file.module) && target == "Clients" {
            return "\(file.module) is pure and imports no client"
        }
        if file.layer == "Services" && target == "Services" {
            return sharedByServices.contains(imported)
                ? nil : "a service imports no service; what two of them need belongs to Domain or Runtime"
        }
        if allowedLayers[file.layer]?.contains(target) == true { return nil }
        return "\(file.layer) may not use \(target)"
    }

    /// Module → layer, from the folders.
    static let layerOfModule: [String: String] = {
        var result: [String: String] = [:]
        let files = (try? Repository.paths(in: "Sources")) ?? []
        for path in files {
            let parts = path.split(separator: "/")
            let layer = String(parts[1])
            if SourceFile.singleModules.contains(layer) {
                result[layer] = layer
            } else if parts.count >= 4 {
                result[String(parts[2])] = layer
            }
        }
        return result
    }()
}
