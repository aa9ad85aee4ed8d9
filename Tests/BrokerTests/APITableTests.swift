import Foundation
import PlatformTesting
import Testing

@testable import Broker

/// docs/broker.md says of every API of the protocol what becomes of it.
struct APITableTests {
    /// The newest API that the table knows.
    private static let lastKey: Int16 = 92

    private func cells(_ row: Substring) -> [String] {
        row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    @Test("Every API is served or named as not served, and none is both")
    func catalog() {
        let served = Set(APIKey.allCases.map(\.rawValue))
        #expect(served.isDisjoint(with: APICatalog.unserved.keys))
        #expect(served.union(APICatalog.unserved.keys) == Set(0...Self.lastKey))
        let names = APIKey.allCases.map(\.name) + APICatalog.unserved.values
        #expect(Set(names).count == names.count)
    }

    @Test("The page has a row for each API that is served, with its versions and its answer, and names the others")
    func page() throws {
        let page = try String(contentsOfFile: PackageRoot.path + "/docs/broker.md", encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("|") }.map(cells)
        let table = rows.filter { $0.count == 5 && Int16($0[1]) != nil }
        #expect(table.compactMap { Int16($0[1]) } == APIKey.allCases.map(\.rawValue).sorted())
        for row in table {
            let api = try #require(Int16(row[1]).flatMap(APIKey.init(rawValue:)), "\(row)")
            let (low, high) = (api.versions.lowerBound, api.versions.upperBound)
            let flexible = api.firstFlexibleVersion > high ? "–" : "\(api.firstFlexibleVersion)"
            #expect(
                Array(row[..<4]) == [api.name, "\(api.rawValue)", low == high ? "\(low)" : "\(low)–\(high)", flexible])
            #expect(row[4].count > 5, "what \(api.name) is answered with")
        }
        // Lines may end anywhere in the list.
        let words = page.split { $0.isWhitespace }.joined(separator: " ")
        for (key, name) in APICatalog.unserved where !words.contains("\(name) (\(key))") {
            Issue.record("the page does not name \(name) (\(key))")
        }
    }

    @Test("A connection that asks for what is not served is closed, and the reason names the API")
    func named() {
        for (key, name) in APICatalog.unserved {
            var writer = WireWriter(isFlexible: false)
            writer.int16(key)
            writer.int16(0)
            writer.int32(1)
            writer.nullableString(nil)
            var reader = WireReader(writer.take())
            let error = #expect(throws: WireError.self) { try RequestHeader.decode(&reader) }
            #expect(error?.reason == "API key \(key) (\(name)) is not served here")
        }
    }

    @Test("Every version of what tools ask, and of what is refused, is answered, all over one connection")
    func answered() throws {
        let folder = try TemporaryFolder()
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        let newest: [APIKey] = [
            .saslHandshake, .describeACLs, .createACLs, .deleteACLs, .alterConfigs, .describeLogDirs, .electLeaders,
            .alterPartitionReassignments, .listPartitionReassignments, .offsetDelete, .describeClientQuotas,
            .alterClientQuotas, .describeUserScramCredentials, .alterUserScramCredentials, .describeProducers,
            .describeTransactions, .listTransactions, .consumerGroupHeartbeat, .shareGroupHeartbeat,
        ]
        var correlation: Int32 = 0
        for api in newest {
            for version in api.versions {
                correlation += 1
                let body = RequestBodies.body(api, version)
                socket.send(RequestBodies.frame(api, version, correlation: correlation, body))
                var answer = WireReader(try #require(socket.answer(), "\(api.name) \(version)"))
                #expect(try answer.int32() == correlation)
            }
        }
    }

    @Test("Without transactions and new groups the answers are errors that clients take as final")
    func finalErrors() throws {
        let folder = try TemporaryFolder()
        let broker = try TestBroker(folder: folder.file("b"))
        let socket = try BrokerSocket(port: broker.port)
        /// The first error code of an answer, behind its header of one byte of tags and the throttle time.
        func code(_ api: APIKey, _ version: Int16, _ body: (inout WireWriter) -> Void) throws -> Int16 {
            var writer = WireWriter(isFlexible: version >= api.firstFlexibleVersion)
            body(&writer)
            socket.send(RequestBodies.frame(api, version, correlation: 1, writer.take()))
            var answer = WireReader(try #require(socket.answer()))
            _ = try answer.int32()
            if version >= api.firstFlexibleVersion { _ = try answer.int8() }
            _ = try answer.int32()
            return try answer.int16()
        }
        let coordinator = try code(.findCoordinator, 2) { writer in
            writer.string("t")
            writer.int8(1)
        }
        #expect(coordinator == 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
        let producer = try code(.initProducerID, 2) { writer in
            writer.nullableString("t")
            writer.int32(1_000)
            writer.tags()
        }
        #expect(producer == 53)
        for api in [APIKey.consumerGroupHeartbeat, .shareGroupHeartbeat] {
            let version = api.versions.upperBound
            #expect(try code(api, version) { RequestBodies.refused(&$0, api, version) } == 35, "UNSUPPORTED_VERSION")
        }
    }
}
