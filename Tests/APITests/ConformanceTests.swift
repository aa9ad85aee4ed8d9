import API
import Concurrency
import HTTPServer
import PlatformTesting
import Records
import Sources
import Store
import Testing

/// Independent programs look at the API: a validator at its document, schemathesis at its replies.
@Suite struct ConformanceTests {
    /// Requests made for each operation, always the same ones.
    private static let examples = LongTests.areWanted ? "200" : "50"

    /// Whether the set-up has installed what the script imports.
    private static let hasTools = (try? PythonTool.run(["-c", "import schemathesis, openapi_spec_validator"])) != nil

    @Test(.enabled(if: hasTools, "needs schemathesis and openapi-spec-validator in .deps/venv"))
    func generatedRequestsAreAnsweredAsDocumented() async throws {
        let keys = TestKeys()
        // The highest role reaches every operation.
        let key = try keys.make(.admin)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        // Versions that do not come are asked for again and again.
        let fixture = APIFixture(
            access: access, readKeys: keys.read,
            adjust: { dependencies in
                // What is over: a stream of progress ends at once.
                let control = FakeControl()
                control.looksLeft.withLock { $0 = 0 }
                (dependencies.control, dependencies.golden) = (control, FakeGoldenShelf())
                dependencies.keys = TestKeyDesk()
                dependencies.intake = scene.desk
                dependencies.sourceDesk = FakeTopicOfRequests().desk(scene.sources.withLock { $0 })
                // Every suppression is applied at once, and was lifted.
                dependencies.suppressions = SuppressionDesk(
                    publish: { _, _ in }, list: { _, _, _, _ in [] },
                    find: { id, tenant, _ in
                        SuppressionRecord(
                            number: 1,
                            suppression: Suppression(
                                id: id, tenant: tenant, target: .eventID("e"), reason: "r", by: "ann", atMilliseconds: 1
                            ),
                            indexVersion: 1,
                            lift: SuppressionRecord.Lift(reason: "r", by: "bob", atMilliseconds: 2, indexVersion: 2))
                    })
            }, configure: { $0.versionWaitMillisecondsMax = 1 })
        fixture.fill()
        let output = try await withAPI(fixture) { port in
            try await Lane(name: "schemathesis").run {
                try PythonTool.run([
                    PackageRoot.path + "/Tests/APITests/api_conformance.py", "http://127.0.0.1:\(port)",
                    PackageRoot.path + "/schemas/openapi.json", Self.examples, key,
                ])
            }
        }
        let text = String(decoding: output, as: UTF8.self)
        #expect(text.hasSuffix(" requests, 0 kinds of failures\n"), "\(text)")
    }
}
