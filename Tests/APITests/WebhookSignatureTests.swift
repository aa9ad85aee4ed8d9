import Bytes
import HTTPServer
import Hashing
import JSONScan
import Records
import Sources
import Testing

@testable import API
@testable import Access

/// Signed requests need no key, and nothing but the secret.
@Suite(.timeLimit(.minutes(2))) struct WebhookSignatureTests {
    private static let secret = "0123456789abcdef-first"
    private static let next = "0123456789abcdef-second"

    /// RFC 4231, test cases 1, 2 and 6.
    @Test func codesAreThoseOfTheStandard() throws {
        let cases: [(secret: [UInt8], text: String, code: String)] = [
            (
                [UInt8](repeating: 0x0B, count: 20), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xAA, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ]
        for one in cases {
            #expect(try MessageAuthentication.sha256([Array(one.text.utf8)], secret: one.secret).hex == one.code)
            let half = one.text.utf8.count / 2
            let parts = [Array(one.text.utf8.prefix(half)), Array(one.text.utf8.dropFirst(half))]
            #expect(try MessageAuthentication.sha256(parts, secret: one.secret).hex == one.code)
        }
    }

    @Test func fieldsOfAnotherFormAreNone() {
        let code = String(repeating: "0f", count: 32)
        for field in ["t=5,v1=\(code)", "t=5, v1=\(code)", "v1=\(code),v0=x,t=5", "t=5,v1=\(code),v1=\(code)"] {
            #expect(WebhookSignature(field)?.seconds == 5, "\(field)")
        }
        let many = (0..<5).map { _ in "v1=\(code)" }.joined(separator: ",")
        for field in [
            "", "t=5", "v1=\(code)", "t=5,v1=", "t=5,v1=\(code)0", "t=5,v1=\(code.dropLast())g", "t=-5,v1=\(code)",
            "t=,v1=\(code)", "t=5,t=6,v1=\(code)", "t=99999999999999999999,v1=\(code)", "t=5,\(many)", "t=5;v1=\(code)",
            "t=5,v1", "t=5.0,v1=\(code)", ",", "=", "t=5 ,v1=\(code)", "t=+5,v1=\(code)", "T=5,v1=\(code)",
            "t=5,V1=\(code)",
            "t=5,v1=\(code),", "t=5,v1= \(code)", "t=5,v1=\(code.dropLast(2))\u{FF}", "v2=\(code),t=5",
            "t=5,v1=" + String(repeating: "0", count: 100_000),
        ] {
            #expect(WebhookSignature(field) == nil, "\(field)")
        }
        // Declarations are held against it.
        #expect(WebhookDeclaration.replaySeconds == 2 * Int(WebhookSignature.secondsMax))
        let signature = WebhookSignature("t=1000,v1=\(code)")
        for (milliseconds, isFresh) in [
            (1_000_000, true), (1_300_999, true), (1_301_000, false), (700_000, true), (699_000, false),
        ] as [(Int64, Bool)] {
            #expect(signature?.isFresh(nowMilliseconds: milliseconds) == isFresh, "\(milliseconds)")
        }
    }

    @Test func onlyWhoKnowsTheSecretIsHeard() async throws {
        let scene = try IntakeScene()
        let file = try scene.file("secrets", "\(Self.secret)\n\n\(Self.next)\r\n")
        try scene.declare("signed", .webhook(WebhookDeclaration(secretFile: file)))
        try scene.declare("open", .webhook(WebhookDeclaration()))
        let key = try scene.keys.make(.write)
        let body = Array(#"{"id":"a","text":"b"}"#.utf8)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        try await withAPI(scene.fixture(access: access)) { port in
            func send(
                _ headers: [(String, String)], to source: String = "signed", _ sent: [UInt8]? = nil, key: String? = nil
            ) async throws -> IntakeScene.Reply {
                try await IntakeScene.send(port, "/ingest/\(source)", sent ?? body, key: key, headers)
            }
            let right = try IntakeScene.signature(body, secret: Self.secret)
            #expect(try await send([right]).status == 202)
            // Played again it is the same event, whatever else stands in the field.
            let other = ("Medallion-Signature", right.1 + ",v1=" + String(repeating: "00", count: 32))
            #expect(try await send([other]).status == 202)
            let rotated = try IntakeScene.signature(body, secret: Self.next, secondsAgo: 200)
            #expect(try await send([rotated]).status == 202)
            let keyed = try IntakeScene.signature(body, secret: Self.secret, key: "once")
            #expect(try await send([keyed, ("Idempotency-Key", "once")]).status == 202)

            let wrong: [(String, IntakeScene.Reply)] = [
                ("signature_invalid", try await send([keyed])),
                ("signature_invalid", try await send([right, ("Idempotency-Key", "x")])),
                ("signature_invalid", try await send([right], body + [0x20])),
                ("signature_invalid", try await send([try IntakeScene.signature(body, secret: Self.secret + "x")])),
                ("signature_invalid", try await send([("Medallion-Signature", "t=1")])),
                ("signature_invalid", try await send([right, right])),
                ("signature_invalid", try await send([right], to: "none")),
                ("signature_invalid", try await send([right], to: "open")),
                (
                    "signature_stale",
                    try await send([try IntakeScene.signature(body, secret: Self.secret, secondsAgo: 400)])
                ),
                (
                    "signature_stale",
                    try await send([try IntakeScene.signature(body, secret: Self.secret, secondsAgo: -400)])
                ),
                ("key_missing", try await send([])), ("signature_missing", try await send([], key: key)),
            ]
            for (number, (type, reply)) in wrong.enumerated() {
                #expect(reply.status == 401 && reply.type == type, "\(number): \(reply)")
            }
        }
        let records = try scene.records("signed")
        #expect(records.count == 4 && records.allSatisfy { $0.value == String(decoding: body, as: UTF8.self) })
        #expect(Set(records.map(\.eventID)).count == 3 && records.contains { $0.eventID?.hasPrefix("once:") == true })
        #expect(try scene.records("open").isEmpty)
    }

    /// Without a key nobody is told which sources there are; with one, not which others have.
    @Test func aStrangerIsToldTheSameOfEverySource() async throws {
        let scene = try IntakeScene()
        let file = try scene.file("secrets", Self.secret + "\n")
        try scene.declare("signed", .webhook(WebhookDeclaration(secretFile: file)))
        try scene.declare("open", .webhook(WebhookDeclaration()))
        let acme = try #require(TenantID("acme"))
        try scene.declare("theirs", .webhook(WebhookDeclaration(secretFile: file)), tenant: acme)
        let key = try scene.keys.make(.write, tenant: .standard)
        let body = Array(#"{"id":"a"}"#.utf8)
        let fields: [(String, (String, String))] = [
            ("signature_invalid", ("Medallion-Signature", "t=0,v1=x")),
            ("signature_stale", ("Medallion-Signature", "t=0,v1=" + String(repeating: "00", count: 32))),
            ("signature_invalid", try IntakeScene.signature(body, secret: Self.next)),
        ]
        try await withAPI(scene.fixture()) { port in
            for (type, field) in fields {
                var messages: Set<String> = []
                for source in ["signed", "theirs", "open", "none"] {
                    let reply = try await IntakeScene.send(port, "/ingest/\(source)", body, [field])
                    #expect(reply.status == 401 && reply.type == type, "\(source): \(reply)")
                    messages.insert(reply.body["error"]?["message"]?.string ?? "")
                }
                #expect(messages.count == 1, "\(messages)")
            }
            let right = try IntakeScene.signature(body, secret: Self.secret)
            for source in ["theirs", "none"] {
                let reply = try await IntakeScene.send(port, "/ingest/\(source)", body, key: key, [right])
                #expect(reply.status == 404 && reply.type == "not_found", "\(source): \(reply)")
            }
            #expect(try await IntakeScene.send(port, "/ingest/signed", body, key: key, [right]).status == 202)
            let stale = try IntakeScene.signature(body, secret: Self.secret, secondsAgo: 400)
            let old = try await IntakeScene.send(port, "/ingest/signed", body, key: key, [stale])
            #expect(old.status == 401 && old.type == "signature_stale", "\(old)")
        }
        #expect(try scene.records("signed").count == 1 && scene.records("theirs").isEmpty)
    }

    /// A source that gives up its secret while a request is on its way takes it from nobody who has no key.
    @Test func aSourceThatIsNoLongerSignedTakesNothingOfStrangers() async throws {
        let scene = try IntakeScene()
        let file = try scene.file("secrets", Self.secret + "\n")
        try scene.declare("hooks", .webhook(WebhookDeclaration(secretFile: file)))
        let body = Array(#"{"id":"a"}"#.utf8)
        let field = try IntakeScene.signature(body, secret: "a secret that nobody has")
        try await withAPI(scene.fixture()) { port in
            scene.afterLook.withLock {
                $0 = {
                    scene.sources.withLock { sources in
                        sources = sources.map { $0.with(.webhook(WebhookDeclaration())) }
                    }
                }
            }
            for _ in 0..<2 {
                let reply = try await IntakeScene.send(port, "/ingest/hooks", body, [field])
                #expect(reply.status == 401 && reply.type == "signature_invalid", "\(reply)")
            }
        }
        scene.afterLook.withLock { $0 = nil }
        #expect(try scene.records("hooks").isEmpty)
    }

    @Test func wrongSignaturesCountAgainstTheirAddressAndRightOnesDoNot() async throws {
        let scene = try IntakeScene()
        let file = try scene.file("secrets", Self.secret + "\n")
        try scene.declare("hooks", .webhook(WebhookDeclaration(secretFile: file)))
        let body = Array(#"{"id":"a"}"#.utf8)
        var access = AccessConfiguration()
        access.addressRate = 1
        let (right, wrong) = (
            try IntakeScene.signature(body, secret: Self.secret), try IntakeScene.signature(body, secret: Self.next)
        )
        try await withAPI(scene.fixture(access: access)) { port in
            for _ in 0..<10 { #expect(try await IntakeScene.send(port, "/ingest/hooks", body, [right]).status == 202) }
            var statuses: [Int] = []
            while statuses.count < 200, statuses.last != 429 {
                statuses.append(try await IntakeScene.send(port, "/ingest/hooks", body, [wrong]).status)
            }
            #expect(statuses.last == 429 && statuses.dropLast().allSatisfy { $0 == 401 }, "\(statuses)")
        }
        #expect(try scene.records("hooks").count == 10)
    }

    @Test func secretsThatCannotBeReadLetNobodyIn() async throws {
        let scene = try IntakeScene()
        let short = try scene.file("short", "tooshort\n")
        let good = try scene.file("good", Self.secret + "\n")
        for (name, file) in [("gone", short + ".not"), ("short", short), ("good", good)] {
            try scene.declare(name, .webhook(WebhookDeclaration(secretFile: file)))
        }
        let faults = [short + ".not", short, good].map { WebhookDeclaration(secretFile: $0).look() }
        #expect(faults.map(\.count) == [1, 1, 0] && faults[1][0].place == "secret_file")
        #expect(!faults.flatMap { $0 }.contains { $0.reason.contains("tooshort") })
        let body = Array(#"{"id":"a"}"#.utf8)
        try await withAPI(scene.fixture()) { port in
            for name in ["gone", "short"] {
                let signed = try IntakeScene.signature(body, secret: "tooshort")
                let reply = try await IntakeScene.send(port, "/ingest/\(name)", body, [signed])
                #expect(reply.status == 503 && !"\(reply.body)".contains(short), "\(reply)")
            }
            let signed = try IntakeScene.signature(body, secret: Self.secret)
            #expect(try await IntakeScene.send(port, "/ingest/good", body, [signed]).status == 202)
        }
    }
}
