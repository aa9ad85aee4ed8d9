import Glibc
import HTTPServer
import Synchronization
import Testing

/// What is decided by a request's head is decided before a byte of its body is kept or asked for.
@Suite struct AdmissionTests {
    /// Refuses requests without `X-Pass`; counts how often it is asked, and what it sets aside.
    final class Door: Sendable {
        let asked = Atomic(0)
        let held = Atomic(0)

        func admit(_ head: HTTPRequest) -> HTTPAdmission {
            asked.add(1, ordering: .relaxed)
            guard head.headers["x-pass"] != nil else { return .refused(.text("who are you", status: 401)) }
            held.add(1, ordering: .relaxed)
            return .holding(HTTPHold { [self] in held.add(-1, ordering: .relaxed) })
        }

        var askedCount: Int { asked.load(ordering: .relaxed) }
        var heldCount: Int { held.load(ordering: .relaxed) }
    }

    private let door = Door()
    private static let bodyBytes = 500_000

    private func router() -> HTTPRouter {
        var router = HTTPRouter()
        let door = door
        router.on(
            .post, "/echo", .sync { .text("\($0.body.count)") }, admission: { door.admit($0) })
        router.on(
            .post, "/wait",
            .async { _ in
                try await Task.sleep(for: .seconds(60))
                return .text("waited")
            }, admission: { door.admit($0) })
        router.on(.get, "/look", .sync { .text("\($0.body.count)") }, readsBody: false)
        router.unmatched = { head in
            head.headers["x-pass"] == nil ? .text("too many", status: 429) : nil
        }
        return router
    }

    private func head(_ target: String, _ fields: String) -> String {
        "\(target) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
    }

    @Test func aRefusalComesBeforeTheBody() throws {
        try withServer(router()) { port in
            for fields in [
                "Content-Length: \(Self.bodyBytes)\r\n", "Transfer-Encoding: chunked\r\n",
                "Content-Length: 5\r\nExpect: 100-continue\r\n",
            ] {
                let socket = try RawSocket(port: port)
                socket.send(head("POST /echo", fields))
                let reply = RawReply(socket)
                #expect(reply?.status == 401 && reply?.body == "who are you", "\(fields)")
                #expect(reply?.headers["connection"] == "close", "nobody would read the body to its end")
                #expect(socket.receiveToEnd() == [])
            }
            // A stranger is not told how much is too much.
            let socket = try RawSocket(port: port)
            socket.send(head("POST /echo", "Content-Length: 90000000\r\n"))
            #expect(RawReply(socket)?.status == 401)
        }
        #expect(door.askedCount == 4)
    }

    @Test func unknownPathsAndMethodsHaveNoBodyRead() throws {
        try withServer(router()) { port in
            for (target, status) in [
                ("POST /nothing", 404), ("PUT /echo", 405), ("POST /look", 405), ("OPTIONS /echo", 204),
            ] {
                for pass in ["", "X-Pass: 1\r\n"] {
                    let socket = try RawSocket(port: port)
                    socket.send(head(target, pass + "Content-Length: \(Self.bodyBytes)\r\n"))
                    #expect(RawReply(socket)?.status == (pass.isEmpty ? 429 : status), "\(target)")
                    #expect(socket.receiveToEnd() == [])
                }
            }
        }
    }

    /// The body of a refused request is nobody's next request, however it arrives.
    @Test func aShortBodyIsThrownAway() throws {
        try withServer(router()) { port in
            let hidden = "GET /look HTTP/1.1\r\nHost: a\r\n\r\n"
            let body = String(repeating: hidden, count: 100)
            for pieces in [1, 2, 7] {
                let socket = try RawSocket(port: port)
                for target in ["POST /echo", "POST /nothing", "GET /look"] {
                    socket.send(head(target, "Content-Length: \(body.utf8.count)\r\n"))
                    let bytes = Array(body.utf8)
                    let size = bytes.count / pieces + 1
                    for start in stride(from: 0, to: bytes.count, by: size) {
                        socket.send(Array(bytes[start..<min(start + size, bytes.count)]))
                    }
                    #expect([401, 429, 200].contains(try #require(RawReply(socket)).status), "\(target)")
                }
                socket.send(head("POST /echo", "X-Pass: 1\r\nContent-Length: 3\r\n") + "abc")
                #expect(RawReply(socket)?.body == "3")
            }
        }
    }

    /// Also when its body comes in many pieces, or is asked for.
    @Test func aRequestIsAdmittedOnce() throws {
        try withServer(router()) { port in
            let socket = try RawSocket(port: port)
            socket.send(head("POST /echo", "X-Pass: 1\r\nExpect: 100-continue\r\nContent-Length: 300\r\n"))
            #expect(socket.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            for _ in 0..<300 { socket.send([120]) }
            #expect(RawReply(socket)?.body == "300")
        }
        #expect(door.askedCount == 1 && door.heldCount == 0)
    }

    /// What is set aside comes back when the request is answered, when its client leaves, and when its body never comes.
    @Test func whatIsSetAsideComesBack() throws {
        let door = door
        func wait(until count: Int) {
            for _ in 0..<1_000 where door.heldCount != count { usleep(5_000) }
            #expect(door.heldCount == count)
        }
        try withServer(router(), configure: { $0.requestMillisecondsMax = 500 }) { port in
            let (answered, waiting, slow) = (
                try RawSocket(port: port), try RawSocket(port: port), try RawSocket(port: port)
            )
            answered.send(head("POST /echo", "X-Pass: 1\r\nContent-Length: 3\r\n") + "abc")
            #expect(RawReply(answered)?.status == 200)
            waiting.send(head("POST /wait", "X-Pass: 1\r\n"))
            slow.send(head("POST /echo", "X-Pass: 1\r\nContent-Length: 3\r\n"))
            wait(until: 2)
            #expect(RawReply(slow)?.status == 408)
            wait(until: 1)
            waiting.reset()
            wait(until: 0)
        }
    }

    /// A client that leaves does not free the share of work that goes on.
    @Test func whatIsSetAsideIsHeldWhileTheHandlerRuns() throws {
        let (door, isReleased) = (door, AtomicFlag())
        var router = HTTPRouter()
        let work: @Sendable () async -> Void = {
            // Deaf to cancellation, as a query that runs is.
            while !isReleased.value { try? await Task.sleep(for: .milliseconds(5)) }
        }
        router.on(
            .get, "/async",
            .async { _ in
                await work()
                return .text("late")
            }, admission: { door.admit($0) })
        router.on(.get, "/stream", .stream { _, _ in await work() }, admission: { door.admit($0) })
        func wait(until isSo: () -> Bool) {
            for _ in 0..<1_000 where !isSo() { usleep(5_000) }
            #expect(isSo())
        }
        var configuration = HTTPServerConfiguration()
        configuration.loops = 1
        let server = HTTPServer(configuration: configuration, router: router)
        let port = try server.start()
        defer { server.stop(drainSeconds: 0) }
        for target in ["/async", "/stream"] {
            let socket = try RawSocket(port: port)
            socket.send(head("GET \(target)", "X-Pass: 1\r\n"))
            wait { door.heldCount > 0 }
            socket.reset()
        }
        wait { server.load.connections == 0 }
        #expect(door.heldCount == 2, "both still work")
        isReleased.set()
        wait { door.heldCount == 0 }
    }

    /// Something that one thread sets and others look at.
    private final class AtomicFlag: Sendable {
        private let flag = Atomic(false)

        var value: Bool { flag.load(ordering: .relaxed) }
        func set() { flag.store(true, ordering: .relaxed) }
    }

    /// One time for the whole of a request: bytes that trickle in do not begin it again.
    @Test(arguments: ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n", nil])
    func aRequestHasOneTimeInAll(fields: String?) throws {
        try withServer(router(), configure: { $0.requestMillisecondsMax = 400 }) { port in
            let socket = try RawSocket(port: port)
            socket.send(fields.map { head("POST /echo", "X-Pass: 1\r\n" + $0) } ?? "POST /echo HTTP/1.1\r\nX: ")
            let piece = fields?.hasPrefix("T") == true ? "1\r\nx\r\n" : "x"
            var status: Int?
            for _ in 0..<200 where status == nil {
                guard socket.send(piece), socket.isReadable(withinMilliseconds: 20) else { continue }
                status = RawReply(socket)?.status ?? 0
            }
            #expect(status == 408)
        }
    }

    @Test func sharesAreCountedPerHolder() {
        let shares = ConnectionShares<String>(limit: 2)
        #expect(shares.take("a") && shares.take("a") && !shares.take("a") && shares.take("b"))
        shares.give("a")
        #expect(shares.count(of: "a") == 1 && shares.take("a") && !shares.take("a"))
        for _ in 0..<3 { shares.give("a") }
        shares.give("b")
        shares.give("never")
        #expect(shares.holders == 0, "nobody who holds nothing is remembered")
        var holds = (0..<3).map { _ in shares.hold("c") }
        #expect(holds.count { $0 != nil } == 2)
        holds = []
        #expect(shares.holders == 0)
        let unlimited = ConnectionShares<Int>(limit: 0)
        #expect((0..<100).allSatisfy { _ in unlimited.take(1) } && unlimited.holders == 0)
    }
}
