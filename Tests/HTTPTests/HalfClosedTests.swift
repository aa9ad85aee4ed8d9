import Glibc
import HTTPServer
import Testing

/// A client that shuts its sending side waits for its answer; one that closes its socket does not. Both send the same.
@Suite struct HalfClosedTests {
    private func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

    /// What became of handlers, which all work for a while and honour a cancellation.
    private func server(_ ends: Mailbox<String>, _ milliseconds: Int) throws -> (HTTPServer, UInt16) {
        @Sendable func work() async throws {
            do {
                try await Task.sleep(for: .milliseconds(milliseconds))
                ends.put("done")
            } catch {
                ends.put("cancelled")
                throw error
            }
        }
        var router = HTTPRouter()
        router.on(
            .get, "/work",
            async: { _ in
                try await work()
                return .text("answer")
            })
        router.on(
            .get, "/respond",
            stream: { _, writer in
                try await work()
                writer.respond(.text("answer"))
            })
        router.on(
            .get, "/events",
            stream: { _, writer in
                try await work()
                writer.start()
                try await writer.write(Array("answer".utf8))
            })
        let server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        return (server, try server.start())
    }

    private static let paths = ["/work", "/respond", "/events"]

    @Test(arguments: paths) func aClientThatShutItsSendingSideGetsItsAnswer(path: String) async throws {
        let ends = Mailbox<String>()
        // Long enough to be asked whether it is still there.
        let (server, port) = try server(ends, 500)
        let client = try RawSocket(port: port)
        client.send(get(path))
        client.finishSending()
        #expect(await ends.take() == ["done"])
        let text = String(decoding: client.receiveToEnd() ?? [], as: UTF8.self)
        // What it was asked with is a reply that clients skip.
        let interim = "HTTP/1.1 100 Continue\r\n\r\n"
        let rest = text.hasPrefix(interim) ? String(text.dropFirst(interim.count)) : text
        #expect(rest.hasPrefix("HTTP/1.1 200 OK\r\n") && rest.contains("answer"), "\(text)")
        server.stop(drainSeconds: 0)
    }

    @Test func aQuickAnswerComesWithoutAQuestion() async throws {
        let ends = Mailbox<String>()
        let (server, port) = try server(ends, 1)
        let client = try RawSocket(port: port)
        client.send(get("/work"))
        client.finishSending()
        #expect(String(decoding: client.receiveToEnd() ?? [], as: UTF8.self).hasPrefix("HTTP/1.1 200 OK\r\n"))
        server.stop(drainSeconds: 0)
    }

    @Test(arguments: paths) func aHandlerIsCancelledWhenItsClientLeaves(path: String) async throws {
        let ends = Mailbox<String>()
        let (server, port) = try server(ends, 30_000)
        let rude = try RawSocket(port: port)
        rude.send(get(path))
        try await Task.sleep(for: .milliseconds(50))
        rude.reset()
        #expect(await ends.take() == ["cancelled"])
        var polite: RawSocket? = try RawSocket(port: port)
        polite?.send(get(path))
        // It closes its socket in order, as a program that was interrupted does.
        polite = nil
        #expect(await ends.take(2).count == 2)
        #expect(ends.all.allSatisfy { $0 == "cancelled" })
        server.stop(drainSeconds: 0)
    }

    /// First it only shuts its sending side, then it goes for good.
    @Test func aClientThatLeavesLaterIsNoticed() async throws {
        let ends = Mailbox<String>()
        let (server, port) = try server(ends, 30_000)
        var client: RawSocket? = try RawSocket(port: port)
        client?.send(get("/work"))
        client?.finishSending()
        #expect(client?.receive(until: "\r\n\r\n")?.contains("100") == true)
        client?.reset()
        client = nil
        #expect(await ends.take() == ["cancelled"])
        server.stop(drainSeconds: 0)
    }
}
