// swift-tools-version: 6.3
import PackageDescription

// One helper per kind of target, so that settings are declared once and the layering reads as a table.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(["-warnings-as-errors"]),
    // Every test runs a debug build, which checks at run time that nobody writes what another is just using; the compiler
    // proves most of it anyway. In a release build the checks would cost some per cent of every request and event.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// A C library from a Debian package or a wheel; its headers appear nowhere else.
func cLibrary(_ name: String, pkgConfig: String?) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig)
}

/// A Swift module in `Sources/<layer>/<name>`.
func module(
    _ layer: String, _ name: String, uses dependencies: [Target.Dependency] = [],
    resources: [Resource] = [], linkerSettings: [LinkerSetting] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(layer)/\(name)",
        resources: resources, swiftSettings: strict, linkerSettings: linkerSettings)
}

/// The tests of one module, in `Tests/<name>`.
func tests(_ name: String, exclude: [String] = [], uses dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["PlatformTesting"], path: "Tests/\(name)", exclude: exclude,
        swiftSettings: strict, linkerSettings: openVINORuntimePath)
}

// The OpenVINO wheel is not on the loader's path, and SwiftPM drops an rpath that comes from a .pc file.
let openVINORuntimePath: [LinkerSetting] = [
    .unsafeFlags([
        "-Xlinker", "-rpath", "-Xlinker", "\(Context.packageDirectory)/.deps/openvino/libs",
    ])
]

let package = Package(
    name: "medallion",
    products: [.executable(name: "medallion", targets: ["medallion"])],
    targets: [
        // C
        cLibrary("CRDKafka", pkgConfig: "rdkafka"),
        // Headers alone, as OpenVINO's: CLateLibraries opens the libraries.
        cLibrary("CPostgres", pkgConfig: nil),
        cLibrary("CCurl", pkgConfig: nil),
        cLibrary("CZstd", pkgConfig: "libzstd"),
        cLibrary("CSnappy", pkgConfig: "snappy"),
        cLibrary("CLZFrame", pkgConfig: "liblz4"),
        cLibrary("CEvent", pkgConfig: "libevent_openssl"),
        cLibrary("COpenVINO", pkgConfig: "openvino_c"),
        cLibrary("COpenSSL", pkgConfig: "openssl"),
        cLibrary("CIsal", pkgConfig: "libisal"),
        cLibrary("CICU", pkgConfig: "icu-uc"),
        cLibrary("CStemmer", pkgConfig: nil),
        cLibrary("CHiredis", pkgConfig: nil),
        // Loops for the processor's wide instructions, chosen while the program runs.
        .target(name: "CVectorScan", path: "Sources/C/CVectorScan", cSettings: [.unsafeFlags(["-O3"])]),
        cLibrary("CSpawn", pkgConfig: nil),
        .target(
            name: "CLateLibraries", dependencies: ["COpenVINO", "CCurl", "CPostgres"],
            path: "Sources/C/CLateLibraries",
            // Hidden, so that they do not stand in for the real ones in other libraries.
            cSettings: [.unsafeFlags(["-Wall", "-Werror", "-fvisibility=hidden"])]),
        .target(
            name: "CSimdjson", path: "Sources/C/CSimdjson", cxxSettings: [.unsafeFlags(["-O3", "-Wall", "-Werror"])],
            linkerSettings: [.linkedLibrary("simdjson"), .linkedLibrary("stdc++")]),
        .target(
            name: "CMarkup", path: "Sources/C/CMarkup", cSettings: [.unsafeFlags(["-O2", "-Wall", "-Werror"])],
            linkerSettings: [
                .linkedLibrary("gumbo"), .linkedLibrary("cmark-gfm-extensions"), .linkedLibrary("cmark-gfm"),
            ]),
        .target(
            name: "CCLD2", path: "Sources/C/CCLD2", cxxSettings: [.unsafeFlags(["-O2", "-Wall", "-Werror"])],
            linkerSettings: [.linkedLibrary("cld2"), .linkedLibrary("stdc++")]),

        // Base: bytes, no I/O, no C; everyone may use it
        module("Base", "Bytes"),

        // Clients: one wrapper per C library, no domain words
        module("Clients", "Files", uses: ["Bytes"]),
        module("Clients", "Hashing", uses: ["COpenSSL", "CIsal", "Bytes"]),
        module("Clients", "Zstd", uses: ["CZstd", "Bytes"]),
        module("Clients", "Gzip", uses: ["CIsal"]),
        module("Clients", "Codecs", uses: ["CZstd", "CIsal", "CSnappy", "CLZFrame"]),
        module("Clients", "JSONScan", uses: ["CSimdjson", "Bytes"]),
        module("Clients", "Kafka", uses: ["CRDKafka", "Bytes"]),
        module("Clients", "Postgres", uses: ["CPostgres", "CLateLibraries", "Bytes"]),
        module("Clients", "Redis", uses: ["CHiredis"]),
        module("Clients", "Processes", uses: ["CSpawn"]),
        // What proxies pack is unpacked with the wrappers that are there.
        module("Clients", "HTTPClient", uses: ["CCurl", "CLateLibraries", "Gzip", "Zstd", "Bytes"]),
        // S3 is HTTP with a signature, which libcurl computes; it is wrapped once.
        module("Clients", "ObjectStorage", uses: ["HTTPClient", "Bytes"]),
        module("Clients", "EventLoop", uses: ["CEvent", "COpenSSL", "Bytes"]),
        // The one client on top of a client: the broker shares the event loop, so libevent is wrapped once.
        module("Clients", "HTTPServer", uses: ["EventLoop", "Bytes"]),
        // Typed inputs that somebody else wrote, whatever they came by: JSON with a schema and a list of all faults.
        module("Clients", "Forms", uses: ["JSONScan", "Bytes"]),
        // Endpoints are declared over the server and read JSON: a layer of its own would hold one module.
        module("Clients", "HTTPEndpoints", uses: ["HTTPServer", "Forms", "JSONScan", "Bytes"]),
        module("Clients", "LanguageDetection", uses: ["CCLD2"]),
        // The plain text of HTML and Markdown.
        module("Clients", "Markup", uses: ["CMarkup"]),
        module("Clients", "Inference", uses: ["COpenVINO", "CLateLibraries", "Bytes"]),

        // Runtime: what the swift-server packages would have given us
        module("Runtime", "Telemetry", uses: ["Bytes"]),
        module("Runtime", "Concurrency", uses: ["Bytes"]),
        module("Runtime", "ServiceLifecycle", uses: ["Concurrency", "Telemetry", "Bytes"]),
        module("Runtime", "Settings", uses: ["Bytes"]),
        module("Runtime", "Health", uses: ["Telemetry", "Concurrency", "ServiceLifecycle", "Bytes"]),

        // Domain: nouns and pure rules
        module("Domain", "Records", uses: ["Bytes"]),
        module("Domain", "Logic", uses: ["Records", "Bytes"]),
        // What turns records into lines, the same for the stream job and for replays.
        module(
            "Domain", "Derivation",
            uses: ["Records", "Logic", "Sources", "Lake", "Hashing", "LanguageDetection", "JSONScan", "Bytes"]),
        module(
            "Domain", "Lake", uses: ["Records", "Files", "Zstd", "Hashing", "JSONScan", "ObjectStorage", "Bytes"]),
        // Declarations are JSON; what they describe is pure.
        module("Domain", "Sources", uses: ["Records", "Logic", "JSONScan", "Files", "Bytes"]),
        module("Domain", "Access", uses: ["Records", "Bytes"]),
        // Words are a rule, though ICU and libstemmer know the scripts and languages; no other module needs the libraries.
        module("Domain", "Text", uses: ["CICU", "CStemmer", "Bytes"]),
        module("Domain", "Embeddings", uses: ["Inference", "HTTPClient", "Files", "Hashing", "JSONScan", "Bytes"]),
        // Schema/Migrations is a link to the top-level folder: resources must lie below their target.
        module(
            "Domain", "Store", uses: ["Records", "Retrieval", "Arms", "Text", "Access", "Postgres", "Files", "Bytes"],
            resources: [.embedInCode("Schema/Migrations")]),
        module("Domain", "Retrieval", uses: ["Records", "Logic", "Bytes"]),
        // Who answers, and the check of what they cite.
        module("Domain", "Answering", uses: ["Retrieval", "Text", "JSONScan", "Bytes"]),
        // Both arms of the search in memory; who fills them is the store.
        module("Domain", "Arms", uses: ["CVectorScan", "Records", "Retrieval", "Files", "Hashing", "Zstd", "Bytes"]),
        // How good rankings are: judged sets, measures, and what a sample of queries says.
        module("Domain", "Evaluation", uses: ["JSONScan", "Bytes"]),

        // Services: things that run
        module("Services", "Broker", uses: services + ["EventLoop", "Codecs", "Files", "Hashing"]),
        module(
            "Services", "Ingest",
            uses: services + [
                "Sources", "Logic", "HTTPClient", "Kafka", "KafkaAccess", "Postgres", "JSONScan", "Files", "Gzip",
                "Zstd", "LanguageDetection", "Markup",
            ]),
        module(
            "Services", "Simulator",
            uses: services + ["HTTPServer", "HTTPClient", "Zstd", "Files", "JSONScan", "Ingest"]),
        module(
            "Services", "StreamJob",
            uses: services + [
                "Lake", "Logic", "Sources", "Derivation", "Kafka", "KafkaAccess", "Files", "ObjectStorage",
            ]),
        // Tells others what jobs read and wrote.
        module("Services", "OpenLineage", uses: services + ["HTTPClient", "Files"]),
        module("Services", "KafkaAccess", uses: services + ["Kafka", "JSONScan"]),
        module("Services", "Quarantine", uses: services + ["Lake", "Kafka"]),
        // Whether the index shows what the lake has.
        module("Services", "Audit", uses: services + ["Lake", "Store", "Postgres"]),
        // What any role tells of itself: its process, its embedder, what grows.
        module("Services", "Metering", uses: services + ["Lake", "Embeddings", "Store", "Postgres"]),
        // Whether two lakes or indexes hold the same; for endurance runs and tests.
        module("Services", "Comparison", uses: ["Lake", "Postgres", "Files", "Records", "Bytes"]),
        module("Services", "EmbeddedPostgres", uses: services + ["Postgres", "Files", "Processes"]),
        module(
            "Services", "Indexer",
            uses: services + [
                "Embeddings", "Retrieval", "Store", "Postgres", "Kafka", "KafkaAccess", "Logic", "Hashing",
            ]),
        module(
            "Services", "API",
            uses: services + [
                "Forms", "EventLoop", "HTTPServer", "HTTPClient", "HTTPEndpoints", "Retrieval", "Answering", "Arms",
                "Text", "Store",
                "Access", "Derivation", "Embeddings", "Lake", "Logic", "Sources", "Postgres", "JSONScan", "Hashing",
                "Kafka", "KafkaAccess", "Gzip",
                "Files", "Redis",
            ],
            resources: [.embedInCode("Page/Assets")]),
        module(
            "Services", "Replay",
            uses: services + ["Derivation", "Embeddings", "Lake", "Logic", "Store", "Postgres", "Files", "JSONScan"]),

        // What every command is made of: arguments, exit codes, output
        .target(
            name: "Console", dependencies: ["Bytes", "Files", "ServiceLifecycle", "Settings", "Telemetry"],
            path: "Sources/Console",
            swiftSettings: strict),

        // `medallion bench`: measures the product's own parts
        .target(
            name: "Benchmarks",
            dependencies: [
                "Arms", "Broker", "Bytes", "Comparison", "Console", "Derivation", "EmbeddedPostgres", "Embeddings",
                "EventLoop",
                "Files", "HTTPClient", "Forms", "HTTPEndpoints", "HTTPServer", "Hashing", "Indexer", "Ingest",
                "JSONScan",
                "Kafka", "Lake", "Logic", "Postgres", "Processes", "Quarantine", "Records", "Replay", "Retrieval",
                "Concurrency", "ServiceLifecycle", "Settings", "Simulator", "Store", "StreamJob", "Telemetry", "Text",
                "Zstd",
            ],
            path: "Sources/Benchmarks", swiftSettings: strict),

        // The executable: one file per subcommand
        .executableTarget(
            name: "medallion",
            dependencies: [
                "API", "Access", "Answering", "Audit", "Benchmarks", "Broker", "Bytes", "Console", "Derivation",
                "EmbeddedPostgres",
                "Embeddings", "Evaluation",
                "EventLoop", "Files", "HTTPClient", "HTTPServer", "Hashing", "Health", "Indexer", "Ingest", "JSONScan",
                "Kafka", "KafkaAccess", "Lake", "Logic", "Metering", "OpenLineage", "Postgres", "Quarantine", "Records",
                "Redis",
                "Replay",
                "Retrieval", "Concurrency", "ServiceLifecycle", "Settings", "Simulator", "Sources", "Store",
                "StreamJob",
                "Telemetry", "Text",
            ],
            path: "Sources/medallion", swiftSettings: strict,
            // glibc's malloc suffers from librdkafka's records, which one thread makes and another frees: a tenth of the
            // stream job's processor time, and twice the resident memory.
            linkerSettings: openVINORuntimePath + [.linkedLibrary("jemalloc")]),

        // Tests
        .target(
            name: "PlatformTesting",
            dependencies: ["CRDKafka", "CSnappy", "CLZFrame", "Bytes", "Files", "Zstd", "Gzip"],
            path: "Tests/PlatformTesting", exclude: ["derived_lines.py", "s3_server.py"],
            swiftSettings: strict),
        .target(
            name: "PostgresTesting",
            dependencies: [
                "PlatformTesting", "EmbeddedPostgres", "Postgres", "ServiceLifecycle", "Telemetry", "Files",
            ],
            path: "Tests/PostgresTesting", swiftSettings: strict),
        .target(
            name: "BrokerTesting",
            dependencies: ["PlatformTesting", "Broker", "Kafka", "Records", "Telemetry", "Bytes"],
            path: "Tests/BrokerTesting", swiftSettings: strict),
        .target(
            name: "IndexTesting",
            dependencies: [
                "PlatformTesting", "PostgresTesting", "Store", "Arms", "Retrieval", "Records", "Embeddings", "Postgres",
                "Kafka", "Hashing", "HTTPServer", "JSONScan", "Files",
                "Bytes",
            ],
            path: "Tests/IndexTesting", swiftSettings: strict),
        .target(
            name: "IngestTesting",
            dependencies: [
                "PlatformTesting", "Ingest", "CRDKafka", "Kafka", "Records", "ServiceLifecycle", "Telemetry", "Bytes",
            ],
            path: "Tests/IngestTesting", swiftSettings: strict),
        tests("BytesTests", uses: ["Bytes"]),
        tests(
            "BenchmarksTests", uses: ["Benchmarks", "Console", "Simulator", "JSONScan", "Telemetry", "Files", "Bytes"]),
        tests(
            "ClientsTests",
            uses: ["Files", "Hashing", "Zstd", "Codecs", "JSONScan", "LanguageDetection", "Markup", "Bytes"]),
        tests("KafkaTests", uses: ["Kafka", "CRDKafka", "Bytes"]),
        tests(
            "PostgresTests",
            uses: [
                "Postgres", "EmbeddedPostgres", "PostgresTesting", "Concurrency", "ServiceLifecycle", "Telemetry",
                "Files", "Bytes",
            ]),
        tests("ObjectStorageTests", uses: ["ObjectStorage", "Files", "Hashing", "Bytes"]),
        tests(
            "HTTPTests", exclude: ["tls_client.py"],
            uses: [
                "EventLoop", "HTTPServer", "Forms", "HTTPEndpoints", "HTTPClient", "JSONScan", "Processes", "Files",
                "Bytes",
            ]),
        tests(
            "OpenLineageTests", exclude: ["read_events.py"],
            uses: [
                "OpenLineage", "HTTPServer", "Concurrency", "ServiceLifecycle", "Telemetry", "JSONScan", "Files",
                "Bytes",
            ]),
        tests("RuntimeTests", uses: ["Health", "Concurrency", "ServiceLifecycle", "Telemetry", "Settings", "Bytes"]),
        tests(
            "MeteringTests",
            uses: [
                "Metering", "Embeddings", "Lake", "Store", "Postgres", "ServiceLifecycle", "Telemetry", "Files",
                "Bytes",
            ]),
        tests("RecordsTests", uses: ["Records", "JSONScan", "Files", "Bytes"]),
        tests(
            "SourcesTests", exclude: ["sources_schema.py"],
            uses: ["medallion", "Sources", "Records", "Logic", "JSONScan", "Files", "Bytes"]),
        tests(
            "LogicTests",
            uses: ["Records", "Logic", "JSONScan", "Hashing", "Files", "Bytes"]),
        tests(
            "StreamJobTests",
            exclude: [
                "GoldenLake", "expected_counts.py", "lake_format.py", "lake_glob.py", "lake_parquet.py",
                "lake_reader.py", "lake_tools.py",
            ],
            uses: [
                "StreamJob", "Derivation", "Quarantine", "Replay", "KafkaAccess", "Simulator", "Broker", "Kafka",
                "Settings", "Records", "Logic", "Sources", "CRDKafka", "Lake", "JSONScan", "Hashing", "Files",
                "Concurrency", "ServiceLifecycle", "Telemetry", "Bytes",
            ]),
        tests(
            "LakeTests",
            uses: [
                "medallion", "Records", "Lake", "Concurrency", "ServiceLifecycle", "ObjectStorage", "Files", "Zstd",
                "Hashing", "JSONScan", "Bytes",
            ]),
        tests(
            "EmbeddingsTests",
            uses: [
                "Embeddings", "Logic", "Records", "Simulator", "Inference", "HTTPClient", "IndexTesting", "Files",
                "JSONScan", "Bytes",
            ]),
        tests("TextTests", uses: ["Text", "Bytes"]),
        tests("ArmsTests", uses: ["Arms", "CVectorScan", "Retrieval", "Records", "Files", "Zstd", "Bytes"]),
        tests(
            "RetrievalTests", exclude: ["Interpretation/questions.txt"],
            uses: ["Retrieval", "Records", "Logic", "Files", "Bytes"]),
        tests("AnsweringTests", uses: ["Answering", "Simulator", "Retrieval", "Text", "Records", "JSONScan", "Bytes"]),
        tests(
            "EvaluationTests", exclude: ["measures.py"], uses: ["Evaluation", "JSONScan", "Files", "Bytes"]),
        tests(
            "StoreTests",
            uses: [
                "Store", "Retrieval", "Answering", "Arms", "Text", "Access", "Records", "Postgres", "EmbeddedPostgres",
                "PostgresTesting",
                "IndexTesting", "API",
                "Evaluation", "Indexer", "Embeddings", "Broker", "BrokerTesting", "Kafka", "Settings", "Concurrency",
                "ServiceLifecycle",
                "StreamJob", "Replay", "Logic", "Lake", "JSONScan", "Telemetry", "Health", "KafkaAccess", "Files",
                "Redis", "HTTPServer", "HTTPClient", "Hashing", "Bytes",
            ]),
        tests(
            "ReplayTests",
            uses: [
                "Replay", "Audit", "Derivation", "Lake", "Store", "Indexer", "IndexTesting", "Embeddings", "Postgres",
                "PostgresTesting", "Records", "Retrieval", "Logic",
                "Concurrency", "ServiceLifecycle", "Telemetry", "Hashing", "Files", "Bytes",
            ]),
        tests(
            "BrokerTests", exclude: ["clients"],
            uses: [
                "medallion", "Broker", "Kafka", "Records", "ServiceLifecycle", "Telemetry", "Codecs", "Files",
                "Hashing", "Bytes",
            ]),
        tests(
            "SimulatorTests",
            uses: [
                "Simulator", "HTTPClient", "HTTPServer", "Concurrency", "ServiceLifecycle", "Telemetry", "JSONScan",
                "Files", "Zstd", "Bytes",
            ]),
        tests(
            "IngestTests",
            uses: [
                "Ingest", "IngestTesting", "Simulator", "Broker", "Kafka", "HTTPClient", "HTTPServer",
                "PostgresTesting", "Postgres", "Sources", "Logic", "JSONScan",
                "ServiceLifecycle", "Health", "Telemetry",
                "Zstd", "Files", "CRDKafka", "Records", "Bytes",
            ]),
        tests(
            "APITests",
            exclude: [
                "api_conformance.py", "mcp_clients.py", "openai_client.py", "page_modules.mjs", "stream_clients.py",
            ],
            // The executable speaks for the API to programs that start their servers themselves.
            uses: [
                "medallion", "API", "Access", "Answering", "Arms", "EventLoop", "Forms", "HTTPServer", "HTTPEndpoints",
                "HTTPClient",
                "Retrieval", "Store",
                "Records",
                "JSONScan", "Hashing", "BrokerTesting", "IndexTesting", "Files", "Processes", "Concurrency",
                "Broker", "KafkaAccess", "Logic", "Sources", "Redis", "ServiceLifecycle", "Telemetry", "Health",
                "Kafka", "Bytes",
            ]),
        // One suite per interface, over all that implement it, the doubles of tests among them.
        tests(
            "ConformanceTests",
            uses: [
                "API", "Answering", "Text", "Derivation", "Embeddings", "Files", "Hashing", "IndexTesting", "Ingest",
                "IngestTesting",
                "JSONScan", "Lake", "Logic", "Metering", "ObjectStorage", "Postgres", "PostgresTesting", "Records",
                "Retrieval",
                "ServiceLifecycle", "Sources", "Store", "Telemetry", "Bytes",
            ]),
        // Runs the executable, which SwiftPM builds because of this dependency.
        tests(
            "PipelineTests",
            exclude: [
                "alert_database.py", "alert_faults.py", "alert_platform.py", "alert_trial.py", "check_lake.py",
                "compose.py",
                "hand-written.jsonl", "page_away.py", "page_browser.py", "page_stories.py",
            ],
            uses: [
                "medallion", "Comparison", "Simulator", "EmbeddedPostgres", "PostgresTesting", "Processes",
                "Concurrency",
                "ServiceLifecycle", "HTTPClient", "HTTPServer", "Kafka", "ObjectStorage", "Postgres", "Records", "Lake",
                "Settings", "Files", "Zstd", "JSONScan", "Bytes",
            ]),
        tests("TidyTests", exclude: ["waivers.txt"], uses: ["Bytes", "Settings", "Logic"]),
    ],
    cxxLanguageStandard: .cxx17
)

/// What every service may use besides its own clients.
var services: [Target.Dependency] {
    ["Concurrency", "ServiceLifecycle", "Telemetry", "Settings", "Health", "Records", "Bytes"]
}
