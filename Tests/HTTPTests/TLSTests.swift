import EventLoop
import Files
import Glibc
import HTTPClient
import HTTPServer
import PlatformTesting
import Processes
import Testing

/// HTTPS, seen by other programs' TLS.
@Suite struct TLSTests {
    /// A certificate for `localhost` and 127.0.0.1, signed by itself.
    struct Certificate {
        let folder: TemporaryFolder
        var path: String { folder.file("certificate.pem") }
        var key: String { folder.file("key.pem") }

        init(in folder: TemporaryFolder? = nil) throws {
            self.folder = try folder ?? TemporaryFolder()
            try Self.run([
                "/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", path, "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
        }

        static func run(_ command: [String]) throws {
            let null = open("/dev/null", O_WRONLY)
            defer { close(null) }
            let child = try ChildProcess.spawn(command, environment: ["PATH=/usr/bin:/bin"], output: null)
            ChildProcess.awaitEnd(child)
            try #require(ChildProcess.reap(child).isSuccess)
        }

        func context() throws -> TLSContext { try TLSContext(certificatePath: path, keyPath: key) }
    }

    private func client(_ certificate: Certificate) -> HTTPClient {
        var configuration = HTTPClientConfiguration()
        configuration.certificateAuthorities = certificate.path
        return HTTPClient(configuration)
    }

    @Test func pythonIsServedInEveryWay() throws {
        let certificate = try Certificate()
        let tls = try certificate.context()
        try withServer(configure: {
            $0.tls = tls
            $0.bodyBytesMax = 8 << 20
        }) { port in
            let output = try PythonTool.run([
                PackageRoot.path + "/Tests/HTTPTests/tls_client.py", "\(port)", certificate.path,
            ])
            #expect(String(decoding: output, as: UTF8.self).hasSuffix("ok\n"))
        }
    }

    /// By openssl's word, also of a certificate that took the place of another.
    @Test func theEndOfTheCertificateIsTold() throws {
        let certificate = try Certificate()
        let tls = try certificate.context()
        let twoDays = time(nil) + 2 * 86_400
        #expect(abs(try #require(tls.endSeconds) - twoDays) < 600)
        try Certificate.run([
            "/usr/bin/openssl", "req", "-x509", "-key", certificate.key, "-out", certificate.path, "-days", "90",
            "-subj",
            "/CN=localhost",
        ])
        try tls.reload()
        #expect(abs(try #require(tls.endSeconds) - twoDays - 88 * 86_400) < 600)
    }

    @Test func libcurlChecksTheCertificate() throws {
        let certificate = try Certificate()
        let tls = try certificate.context()
        try withServer(configure: { $0.tls = tls }) { port in
            let request = HTTPClientRequest(url: "https://localhost:\(port)/hello")
            let reply = try client(certificate).request(request, timeoutMilliseconds: 5_000)
            #expect(reply.status == 200 && reply.body == Array("hello".utf8))
            let stranger = try Certificate()
            let error = #expect(throws: HTTPClientError.self) {
                try client(stranger).request(request, timeoutMilliseconds: 5_000)
            }
            #expect(error?.kind == .tls)
        }
    }

    /// Neither a handshake that stops half-way nor one that never starts keeps a connection; others feel nothing.
    @Test func slowHandshakesRunOutOfTime() throws {
        let certificate = try Certificate()
        let tls = try certificate.context()
        try withServer(configure: {
            $0.tls = tls
            $0.requestMillisecondsMax = 300
        }) { port in
            let silent = try RawSocket(port: port)
            let dripping = try RawSocket(port: port)
            // A record of 512 bytes is announced; its bytes come one by one.
            dripping.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
            for _ in 0..<20 {
                dripping.send([0])
                usleep(5_000)
            }
            let request = HTTPClientRequest(url: "https://localhost:\(port)/hello")
            #expect(try client(certificate).request(request, timeoutMilliseconds: 5_000).status == 200)
            #expect(silent.receiveToEnd() == [])
            #expect(dripping.receiveToEnd() != nil)
            let plain = try RawSocket(port: port)
            plain.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(plain.receiveToEnd().map { !String(decoding: $0, as: UTF8.self).contains("HTTP/1.1 200") } != false)
        }
    }

    @Test func aRenewedCertificateIsTakenUpAndAWrongOneIsNot() throws {
        let certificate = try Certificate()
        let tls = try certificate.context()
        try withServer(configure: { $0.tls = tls }) { port in
            let request = HTTPClientRequest(url: "https://localhost:\(port)/hello")
            let old = client(certificate)
            #expect(try old.request(request, timeoutMilliseconds: 5_000).status == 200)
            try File.replace(certificate.key, with: Array("nonsense".utf8))
            #expect(throws: EventLoopError.self) { try tls.reload() }
            #expect(try client(certificate).request(request, timeoutMilliseconds: 5_000).status == 200)
            let renewed = try Certificate(in: certificate.folder)
            try tls.reload()
            #expect(try client(renewed).request(request, timeoutMilliseconds: 5_000).status == 200)
            #expect(try old.request(request, timeoutMilliseconds: 5_000).status == 200, "its connection is still good")
        }
    }

    @Test func wrongFilesAreNamed() throws {
        let (first, second) = (try Certificate(), try Certificate())
        for (certificate, key, word) in [
            ("/nowhere/certificate.pem", first.key, "/nowhere/certificate.pem"),
            (first.path, "/nowhere/key", "/nowhere/key"),
            (first.path, second.key, second.key), (first.key, first.key, first.key),
        ] {
            let error = #expect(throws: EventLoopError.self) {
                try TLSContext(certificatePath: certificate, keyPath: key)
            }
            #expect(error?.description.contains(word) == true)
        }
        let locked = first.folder.file("locked.pem")
        try Certificate.run([
            "/usr/bin/openssl", "pkey", "-in", first.key, "-aes256", "-passout", "pass:secret", "-out", locked,
        ])
        #expect(throws: EventLoopError.self) { try TLSContext(certificatePath: first.path, keyPath: locked) }
    }

    /// What sendfile does without TLS.
    @Test func fileRegionsAreEncrypted() async throws {
        let certificate = try Certificate()
        let path = certificate.folder.file("data")
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try File.replace(path, with: bytes)
        let loop = try EventLoop(name: "tls-files")
        try loop.start()
        defer { loop.stop() }
        let listener = try TCPListener(
            loop: loop, host: "127.0.0.1", port: 0, tls: try certificate.context()
        ) { connection in
            connection.onRead = { read in
                connection.write(Array("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n".utf8))
                let descriptor = open(path, O_RDONLY)
                connection.write(
                    FileRegion(
                        owner: OpenFile(descriptor: descriptor), descriptor: descriptor, offset: 0, length: bytes.count)
                )
                connection.finish()
                return read.count
            }
        }
        let reply = try client(certificate).request(
            HTTPClientRequest(url: "https://localhost:\(listener.port)/"), timeoutMilliseconds: 5_000)
        #expect(reply.body == bytes)
    }
}
