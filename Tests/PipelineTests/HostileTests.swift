import Files
import Glibc
import JSONScan
import Processes
import Synchronization
import Testing

extension PipelineTests {
    /// `medallion bench clients --attack`: each attack does what it says, seen from the server's side.
    @Suite(.serialized) struct HostileTests {
        private static let seconds = 3

        @Test(.timeLimit(.minutes(2))) func everyAttackDoesWhatItSays() async throws {
            let (tallies, seen, output) = try await Self.attack("all", isLax: false)
            #expect(tallies.count == 23 && !output.contains("WRONG: "), "\(output)")
            func server(_ name: String) -> AttackedServer.Seen { seen[name] ?? AttackedServer.Seen() }
            for tally in tallies {
                let name = tally["attack"]?.string ?? ""
                let (connections, messages) = (tally["connections"]?.integer ?? 0, tally["messages"]?.integer ?? 0)
                #expect(messages > 0 && connections > 0, "\(name)")
                // What was begun in the last moment may not have come.
                #expect(abs(Int(connections) - server(name).connections) <= max(8, Int(connections) / 5), "\(name)")
                #expect((server(name).addresses.count > 1) == (name != "one-address"), "\(name)")
            }
            #expect(server("half-bodies").bodyBytesMax > 500_000 && server("half-bodies").completeRequests == 0)
            for name in ["slow-bodies", "slow-heads"] {
                #expect(server(name).completeRequests == 0 && server(name).piecesMax > 1, "\(name)")
            }
            #expect(server("one-address").connections > 10 && server("one-address").bytes == 0)
            #expect(server("cancelled").resets > 0)
            #expect(server("half-closed").halfCloses > 0 && Self.replies("200", "half-closed", tallies) > 0)
            #expect(server("pipelined").requestsInPieceMax >= 50 && Self.replies("200", "pipelined", tallies) >= 100)
            for name in ["slow-readers", "slow-traces"] {
                let requests = server(name).completeRequests
                #expect(requests >= 8 && server(name).blocked > 0, "\(name)")
                let received = Self.tally(name, tallies)?["bytes_received"]?.integer ?? .max
                #expect(Int(received) < requests * AttackedServer.large.utf8.count / 4, "\(name)")
            }
            Self.expectHeads(server)
        }

        /// What the heads of an attack's requests all have.
        private static func expectHeads(_ server: (String) -> AttackedServer.Seen) {
            func all(_ name: String, _ condition: (String) -> Bool) -> Bool {
                !server(name).heads.isEmpty && server(name).heads.allSatisfy(condition)
            }
            #expect(all("recent-polls") { $0.hasPrefix("GET /events/recent?limit=100&after=") })
            #expect(all("rare-filters") { $0.hasPrefix("GET /events/recent?limit=200&") && $0.contains("=") })
            #expect(all("rare-searches") { $0.hasPrefix("POST /search ") })
            #expect(all("answers") { $0.hasPrefix("POST /answer ") && $0.contains("Content-Length: 20") })
            #expect(all("streams") { $0.hasPrefix("GET /stream HTTP") })
            #expect(all("text-filters") { $0.hasPrefix("GET /stream?text=") })
            #expect(all("reconnects") { $0.contains("\r\nLast-Event-ID: 0:0\r\n") })
            #expect(all("wrong-ids") { $0.contains("\r\nLast-Event-ID: ") })
            #expect(
                all("foreign-hosts") {
                    $0.contains("Host: evil") || $0.contains("evil.example") || $0.contains("orwarded")
                })
            #expect(all("no-content-type") { $0.hasPrefix("POST ") && !$0.contains("application/json") })
            #expect(all("wrong-keys") { $0.contains("\r\nAuthorization: Bearer ") })
            #expect(server("huge-heads").headBytesMax >= 65_536)
            #expect(server("garbage").malformed > 0)
            #expect(Set(server("wrong-paths").heads.map { $0.split(separator: " ")[1] }).count > 1)
        }

        /// A server that serves what it must refuse is found out, and so is an attack that reaches nobody.
        @Test(.timeLimit(.minutes(2))) func whatMustBeRefusedAndWhatDoesNothingIsTold() async throws {
            let names = ["foreign-hosts", "no-content-type", "wrong-keys", "huge-heads", "wrong-paths"]
            let (_, _, output) = try await Self.attack(names.joined(separator: ","), isLax: true, seconds: 1)
            for name in names {
                #expect(output.contains("WRONG: \(name) got "), "\(output)")
            }
            let (_, _, silence) = try await Self.attack("slow-heads,garbage", isLax: nil, seconds: 1)
            for name in ["slow-heads", "garbage"] {
                #expect(silence.contains("WRONG: \(name) began 0 messages"), "\(silence)")
            }
        }

        // MARK: Helpers

        private static func tally(_ name: String, _ tallies: [JSONValue]) -> JSONValue? {
            tallies.first { $0["attack"]?.string == name }
        }

        private static func replies(_ status: String, _ name: String, _ tallies: [JSONValue]) -> Int {
            Int(tally(name, tallies)?["statuses"]?[status]?.integer ?? 0)
        }

        /// - Parameter isLax: nil for a port where nobody listens.
        /// - Returns: what the attacks tell of themselves, what the server saw of each, and all that was printed.
        private static func attack(
            _ names: String, isLax: Bool?, seconds: Int = seconds
        ) async throws -> ([JSONValue], [String: AttackedServer.Seen], String) {
            let result = AttackResult()
            try await Deployment.run { deployment in
                let server = try AttackedServer(isLax: isLax ?? false)
                let port = isLax == nil ? deployment.apiPort : Int(server.port)
                let process = try deployment.start(
                    "bench",
                    ["clients", "--attack", names, "--port", "\(port)", "--seconds", "\(seconds)", "--seed", "7"])
                let ending = try process.awaitEnd(seconds: 60)
                let seen = server.stop()
                #expect(ending == .exited(0), "\(process.output)")
                let tallies = try process.output.split(separator: "\n").filter { $0.hasPrefix("{\"attack\"") }
                    .map { try JSONValue.parse(Array($0.utf8)) }
                // Each attack has a network of its own, in the order of the list.
                var byName: [String: AttackedServer.Seen] = [:]
                for (place, tally) in tallies.enumerated() where names == "all" {
                    byName[tally["attack"]?.string ?? ""] = seen[UInt8(100 + place)]
                }
                let all = (tallies, byName, process.output)
                result.value.withLock { $0 = all }
            }
            return result.value.withLock { $0 }
        }
    }
}

/// What a run on another thread found.
private final class AttackResult: Sendable {
    let value = Mutex<([JSONValue], [String: AttackedServer.Seen], String)>(([], [:], ""))
}
