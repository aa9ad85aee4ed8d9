import Bytes
import Concurrency
import Glibc
import JSONScan
import Synchronization
import Testing

extension PipelineTests {
    /// Why the live stream is not used, and which command helps, as `doctor` and `demo` say it.
    @Suite(.serialized) struct LiveSourceTests {
        /// One way in which a stream fails, and what has to be said about it.
        struct Fault: Sendable, CustomTestStringConvertible {
            let name: String
            /// nil: nobody listens.
            let reply: String?
            var url: String?
            let reason: String
            let remedy: String

            var testDescription: String { name }
        }

        static let faults = [
            Fault(
                name: "403", reply: "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
                reason: "refuses the User-Agent “medallion/0.1", remedy: "WIKIMEDIA_USER_AGENT='"),
            Fault(
                name: "429", reply: "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
                reason: "fewer connections (429), and to wait for 7 s", remedy: "make demo   # again in some minutes"),
            Fault(
                name: "503", reply: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
                reason: "answers with status 503", remedy: "make demo   # again in some minutes"),
            Fault(
                name: "404", reply: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                reason: "answers with status 404", remedy: "WIKIMEDIA_SSE_URL="),
            Fault(
                name: "a login page",
                reply: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
                reason: "answers with something else (text/html)", remedy: "WIKIMEDIA_SSE_URL="),
            Fault(name: "no word", reply: "", reason: "did not answer within 6 s", remedy: "RECORDING="),
            Fault(name: "nobody listens", reply: nil, reason: "cannot be reached", remedy: "RECORDING="),
            Fault(
                name: "no name", reply: nil, url: "http://no-such-host.invalid/stream", reason: "cannot be found",
                remedy: "RECORDING="),
        ]

        @Test(.timeLimit(.minutes(1)), arguments: faults) func doctorSaysWhy(_ fault: Fault) async throws {
            let server = try RefusingServer(reply: fault.reply ?? "")
            if fault.reply == nil { server.stop() }
            defer { server.stop() }
            let url = fault.url ?? server.url
            try await Deployment.run(environment: ["WIKIMEDIA_SSE_URL": url]) { deployment in
                let output = try deployment.command(["doctor", "--only", "source", "--json"])
                let check = try #require(JSONValue.parse(Array(output.utf8), maxDepth: 8)["checks"]?.array?.first)
                #expect(check["state"]?.string == "warning")
                let detail = check["detail"]?.string ?? ""
                #expect(detail.contains(url) && detail.contains(fault.reason), "\(detail)")
                #expect(check["hint"]?.string?.contains(fault.remedy) == true, "\(check["hint"] ?? .null)")
            }
        }

        @Test(.timeLimit(.minutes(2))) func theDemoSaysWhyAndGoesOnWithoutIt() async throws {
            let server = try RefusingServer(reply: Self.faults[0].reply ?? "")
            defer { server.stop() }
            let variables = [
                "WIKIMEDIA_SSE_URL": server.url, "WIKIMEDIA_USER_AGENT": "vague", "EMBED_ENABLED": "false",
            ]
            try await Deployment.run(environment: variables) { deployment in
                let demo = try deployment.start("demo")
                try deployment.wait(for: "the choice of a source") { demo.output.contains("for real events") }
                let lines = demo.output.split(separator: "\n")
                let choice = try #require(lines.first { $0.contains("source: invented events") })
                #expect(choice.contains("since the live stream refuses the User-Agent “vague” (403)"))
                let remedy = try #require(lines.first { $0.contains("for real events") })
                #expect(remedy.contains("WIKIMEDIA_USER_AGENT='") && remedy.contains("docs/troubleshooting.md"))
                try deployment.wait(for: "events", seconds: 90) {
                    try deployment.api.metrics().sum("medallion_index_checkpoint_offset") > 0
                }
                #expect(try demo.stop() == .exited(0))
            }
        }
    }
}

/// Accepts connections on a thread of its own, and gives each the same reply; an empty one is none, until ``stop()``.
private final class RefusingServer: Sendable {
    let url: String
    private let listener: Int32
    private let isStopped = Mutex(false)

    init(reply: String) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard isBound else { throw PipelineFailure("no port to refuse on") }
        self.listener = listener
        url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/stream"
        let bytes = Array(reply.utf8)
        _ = Threads.start(name: "refusing") { Self.serve(listener, bytes) }
    }

    /// Whoever comes later is refused by the system.
    func stop() {
        // Once: then the thread closes the descriptor, and its number may be another file's.
        isStopped.withLock { isStopped in
            if !isStopped { shutdown(listener, Int32(SHUT_RDWR)) }
            isStopped = true
        }
    }

    private static func serve(_ listener: Int32, _ reply: [UInt8]) {
        var held: [Int32] = []
        defer { for descriptor in held + [listener] { close(descriptor) } }
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            held.append(connection)
            guard !reply.isEmpty else { continue }
            var request = [UInt8](repeating: 0, count: 4_096)
            _ = recv(connection, &request, request.count, 0)
            _ = send(connection, reply, reply.count, Int32(MSG_NOSIGNAL))
        }
    }
}
