import Bytes
import Testing

@testable import Broker

/// Decoding requests: whatever the bytes say, memory stays bounded and nothing traps.
struct WireTests {
    /// One valid body per API and version, by writing what the decoder reads.
    private static func requests() -> [(api: APIKey, version: Int16, body: [UInt8])] {
        APIKey.allCases.flatMap { api in
            api.versions.map { version in (api, version, RequestBodies.body(api, version)) }
        }
    }

    /// - Returns: the bytes that were left.
    private func decode(_ api: APIKey, _ version: Int16, _ body: [UInt8]) throws(WireError) -> Int {
        var reader = WireReader(body, isFlexible: version >= api.firstFlexibleVersion)
        try Self.decode(api, version, &reader)
        return reader.remaining
    }

    /// Decodes a request's body.
    static func decode(_ api: APIKey, _ version: Int16, _ reader: inout WireReader) throws(WireError) {
        switch api {
        case .produce: _ = try ProduceRequest(&reader, version: version)
        case .fetch: _ = try FetchRequest(&reader, version: version)
        case .listOffsets: _ = try ListOffsetsRequest(&reader, version: version)
        case .metadata: _ = try MetadataRequest(&reader, version: version)
        case .offsetCommit: _ = try OffsetCommitRequest(&reader, version: version)
        case .offsetFetch: _ = try OffsetFetchRequest(&reader, version: version)
        case .findCoordinator: _ = try FindCoordinatorRequest(&reader, version: version)
        case .createTopics: _ = try CreateTopicsRequest(&reader, version: version)
        case .initProducerID: _ = try InitProducerIDRequest(&reader, version: version)
        case .joinGroup: _ = try JoinGroupRequest(&reader, version: version)
        case .syncGroup: _ = try SyncGroupRequest(&reader, version: version)
        case .heartbeat: _ = try HeartbeatRequest(&reader, version: version)
        case .leaveGroup: _ = try LeaveGroupRequest(&reader, version: version)
        case .describeGroups: _ = try DescribeGroupsRequest(&reader, version: version)
        case .listGroups: _ = try ListGroupsRequest(&reader, version: version)
        case .deleteGroups: _ = try DeleteGroupsRequest(&reader)
        case .deleteTopics: _ = try DeleteTopicsRequest(&reader, version: version)
        case .deleteRecords: _ = try DeleteRecordsRequest(&reader)
        case .offsetForLeaderEpoch: _ = try OffsetForLeaderEpochRequest(&reader, version: version)
        case .describeConfigs: _ = try DescribeConfigsRequest(&reader, version: version)
        case .createPartitions: _ = try CreatePartitionsRequest(&reader)
        case .incrementalAlterConfigs: _ = try AlterConfigsRequest(&reader)
        case .describeCluster: _ = try DescribeClusterRequest(&reader, version: version)
        case .alterConfigs: _ = try AlterConfigsRequest(&reader, isIncremental: false)
        case .describeLogDirs: _ = try DescribeLogDirsRequest(&reader)
        case .describeProducers: _ = try DescribeProducersRequest(&reader)
        case .offsetDelete: _ = try OffsetDeleteRequest(&reader)
        case .electLeaders: _ = try ElectLeadersRequest(&reader, version: version)
        case .alterPartitionReassignments: _ = try AlterReassignmentsRequest(&reader)
        case .listPartitionReassignments: _ = try ListReassignmentsRequest(&reader)
        case .saslHandshake, .describeACLs, .createACLs, .deleteACLs, .describeClientQuotas, .alterClientQuotas,
            .describeUserScramCredentials, .alterUserScramCredentials, .describeTransactions, .listTransactions,
            .consumerGroupHeartbeat, .shareGroupHeartbeat:
            _ = try RefusedRequest(api, &reader, version: version)
        case .apiVersions: break
        }
    }

    @Test("Every advertised version is decoded whole, and not when cut off; bytes behind it are left alone")
    func everyVersion() throws {
        for (api, version, body) in Self.requests() where api != .apiVersions {
            #expect(try decode(api, version, body) == 0, "\(api.name) \(version)")
            #expect(try decode(api, version, body + [0, 1, 2]) == 3, "\(api.name) \(version) and three bytes")
            for length in 0..<body.count {
                #expect(throws: WireError.self, "\(api.name) \(version) cut to \(length)") {
                    _ = try decode(api, version, Array(body[..<length]))
                }
            }
        }
    }

    @Test("Changed bytes are refused or decoded, never trapped on", arguments: [UInt64(11), 12, 13])
    func changedBytes(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let requests = Self.requests()
        for _ in 0..<20_000 {
            guard let (api, version, body) = requests.randomElement(using: &random) else { return }
            var bytes = body
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                bytes[position] =
                    [0, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
            }
            _ = try? decode(api, version, bytes)
            var reader = WireReader(bytes)
            _ = try? RequestHeader.decode(&reader)
        }
    }

    @Test("Counts and lengths beyond the frame are refused before anything is allocated")
    func hostileLengths() {
        var writer = WireWriter(isFlexible: false)
        writer.int32(Int32.max)
        var reader = WireReader(writer.take())
        #expect(throws: WireError.self) { try reader.array { reader throws(WireError) in try reader.int8() } }
        writer.int32(-2)
        reader = WireReader(writer.take())
        #expect(throws: WireError.self) { try reader.nullableBytes() }
        writer.int32(70_000)
        reader = WireReader(writer.take() + [UInt8](repeating: 0, count: 70_000))
        #expect(throws: WireError.self) { try reader.array { reader throws(WireError) in try reader.int8() } }
        reader = WireReader([0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
        #expect(throws: WireError.self) { try reader.unsignedVarint() }
        reader = WireReader([0, 2, 0xc3, 0x28])
        #expect(throws: WireError.self) { try reader.string() }
    }

    @Test("Unknown APIs and versions are refused, but for ApiVersions, which is answered in version 0")
    func unknownVersions() throws {
        func head(_ key: Int16, _ version: Int16) -> [UInt8] {
            var writer = WireWriter(isFlexible: false)
            writer.int16(key)
            writer.int16(version)
            writer.int32(77)
            writer.nullableString("client")
            return writer.take() + [0, 0, 0]
        }
        var reader = WireReader(head(18, 99))
        #expect(try RequestHeader.decode(&reader) == .unsupportedAPIVersions(correlationID: 77))
        reader = WireReader(head(1, 99))
        #expect(throws: WireError.self) { try RequestHeader.decode(&reader) }
        reader = WireReader(head(999, 0))
        #expect(throws: WireError.self) { try RequestHeader.decode(&reader) }
        reader = WireReader(head(3, 1))
        let expected = RequestHeader(api: .metadata, version: 1, correlationID: 77, clientID: "client")
        #expect(try RequestHeader.decode(&reader) == .request(expected))
    }

    @Test("Frames come out whole however the bytes arrive")
    func frames() {
        let frames = [
            [UInt8](repeating: 1, count: 10), [UInt8](repeating: 2, count: 300), [UInt8](repeating: 3, count: 11),
        ]
        let stream = frames.flatMap { frame in
            withUnsafeBytes(of: UInt32(frame.count).bigEndian) { Array($0) } + frame
        }
        for piece in [4, 5, 7, 64, 1_000] {
            var assembler = FrameAssembler(bytesMax: 300)
            var found: [[UInt8]] = []
            var unconsumed: [UInt8] = []
            var position = 0
            while position < stream.count {
                unconsumed += stream[position..<min(position + piece, stream.count)]
                position += piece
                while true {
                    var consumed = 0
                    let step = unconsumed.withUnsafeBytes { assembler.take($0, consumed: &consumed) }
                    unconsumed.removeFirst(consumed)
                    guard case .frame(let frame) = step else { break }
                    found.append(frame)
                }
            }
            #expect(found == frames)
        }
        var assembler = FrameAssembler(bytesMax: 300)
        var consumed = 0
        for bytes: [UInt8] in [[0, 0, 1, 45], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 9]] {
            let step = bytes.withUnsafeBytes { assembler.take($0, consumed: &consumed) }
            guard case .refused = step else {
                Issue.record("\(bytes) was taken")
                continue
            }
        }
    }
}
