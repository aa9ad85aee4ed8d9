import Codecs
import PlatformTesting
import Testing

/// What clients pack is unpacked to its last byte; what not every reader would read, or is too much, is refused.
struct CodecTests {
    private static let text = Array(String(repeating: "some text that repeats, ", count: 400).utf8)

    private static func packed(_ bytes: [UInt8], _ codec: PayloadDecompressor.Codec) throws -> [UInt8] {
        switch codec {
        case .gzip: Packing.gzip(bytes)
        case .snappy: Packing.snappy(bytes)
        case .lz4: Packing.lz4(bytes)
        case .zstd: try Packing.zstd(bytes)
        }
    }

    private static func big(_ number: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(number).bigEndian) { Array($0) } }

    /// What came out, or why nothing did.
    private func unpacked(
        _ bytes: [UInt8], _ codec: PayloadDecompressor.Codec, bytesMax: Int = 1 << 20
    ) -> Result<[UInt8], PayloadDecompressor.Failure> {
        var decompressor = PayloadDecompressor()
        return unpacked(bytes, codec, bytesMax: bytesMax, by: &decompressor)
    }

    private func unpacked(
        _ bytes: [UInt8], _ codec: PayloadDecompressor.Codec, bytesMax: Int, by decompressor: inout PayloadDecompressor
    ) -> Result<[UInt8], PayloadDecompressor.Failure> {
        bytes.withUnsafeBytes { source in
            do throws(PayloadDecompressor.Failure) {
                return .success(try decompressor.decompress(source, codec, bytesMax: bytesMax) { Array($0) })
            } catch {
                return .failure(error)
            }
        }
    }

    @Test(
        "What was packed comes out again, up to the bound and not beyond", arguments: PayloadDecompressor.Codec.allCases
    )
    func roundTrip(_ codec: PayloadDecompressor.Codec) throws {
        let packed = try Self.packed(Self.text, codec)
        #expect(unpacked(packed, codec) == .success(Self.text))
        #expect(unpacked(packed, codec, bytesMax: Self.text.count) == .success(Self.text))
        #expect(unpacked(packed, codec, bytesMax: Self.text.count - 1) == .failure(.tooLarge))
        let large = [UInt8](repeating: 0x61, count: 3 << 20)
        #expect(unpacked(try Self.packed(large, codec), codec, bytesMax: 4 << 20) == .success(large))
        #expect(unpacked(try Self.packed(large, codec), codec, bytesMax: 2 << 20) == .failure(.tooLarge))
    }

    @Test("One context unpacks one payload after another", arguments: PayloadDecompressor.Codec.allCases)
    func reuse(_ codec: PayloadDecompressor.Codec) throws {
        var decompressor = PayloadDecompressor()
        for round in 0..<50 {
            let bytes = Array(Self.text.prefix(60 + round * 97)) + Array(String(repeating: "\(round)", count: 99).utf8)
            let packed = try Self.packed(bytes, codec)
            let good = unpacked(packed, codec, bytesMax: 1 << 20, by: &decompressor)
            #expect(good == .success(bytes), "round \(round)")
            // One that fails in the middle leaves nothing behind.
            let cut = unpacked(Array(packed.dropLast(5)), codec, bytesMax: 1 << 20, by: &decompressor)
            #expect(cut == .failure(.malformed) || codec == .gzip, "round \(round)")
            #expect(cut != .success(bytes), "round \(round)")
        }
    }

    @Test(
        "A cut, a byte behind, a second payload and garbage are refused", arguments: PayloadDecompressor.Codec.allCases)
    func refusals(_ codec: PayloadDecompressor.Codec) throws {
        let packed = try Self.packed(Self.text, codec)
        for length in stride(from: 0, to: packed.count, by: 7) {
            #expect(unpacked(Array(packed[..<length]), codec) != .success(Self.text), "\(length) bytes")
        }
        #expect(throws: PayloadDecompressor.Failure.self) { try unpacked(packed + [0], codec).get() }
        #expect(throws: PayloadDecompressor.Failure.self) { try unpacked(packed + packed, codec).get() }
        #expect(throws: PayloadDecompressor.Failure.self) { try unpacked(Array("no payload at all".utf8), codec).get() }
        #expect(throws: PayloadDecompressor.Failure.self) { try unpacked([], codec).get() }
    }

    @Test("The framing of Java's snappy is read, with each block's length checked")
    func javaSnappy() throws {
        let framed = Packing.javaSnappy(Self.text, blockBytes: 5_000)
        let header = Array(framed.prefix(16))
        #expect(unpacked(framed, .snappy) == .success(Self.text))
        #expect(unpacked(framed, .snappy, bytesMax: Self.text.count - 1) == .failure(.tooLarge))
        #expect(unpacked(Array(framed.dropLast()), .snappy) == .failure(.malformed))
        #expect(unpacked(framed + [0, 0], .snappy) == .failure(.malformed))
        #expect(unpacked(header + Self.big(1 << 30) + [1], .snappy) == .failure(.malformed))
        // Four gigabytes claimed by six bytes.
        #expect(unpacked([0xff, 0xff, 0xff, 0xff, 0x0f, 0], .snappy) == .failure(.malformed))
    }

    @Test("What only some readers read is refused: linked LZ4 blocks, huge zstd windows, skippable frames")
    func strictness() throws {
        let random = (0..<200_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
        #expect(unpacked(Packing.lz4(random), .lz4) == .success(random))
        #expect(unpacked(Packing.lz4(random, isLinked: true), .lz4) == .failure(.malformed))
        // A frame of an empty raw block, whose window is 2 GiB.
        #expect(unpacked([0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0], .zstd) == .failure(.malformed))
        #expect(unpacked([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 1, 0, 0], .zstd) == .success([]))
        #expect(unpacked([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], .zstd) == .failure(.malformed))
    }
}
