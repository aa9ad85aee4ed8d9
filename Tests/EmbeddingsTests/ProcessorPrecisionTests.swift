import Testing

@testable import Inference

/// bfloat16 is left to OpenVINO but where the processor computes it slower than float32.
@Suite struct ProcessorPrecisionTests {
    private func facts(_ vendor: String, _ flags: String) -> String {
        "processor\t: 0\nvendor_id\t: \(vendor)\nmodel name\t: Some Processor\nflags\t\t: fpu sse2 \(flags)\n\nprocessor\t: 1\n"
    }

    @Test func intelWithoutAMXComputesInFloat32() {
        func chosen(_ vendor: String, _ flags: String) -> InferencePrecision {
            .onProcessor(cpuinfo: facts(vendor, flags))
        }
        #expect(chosen("GenuineIntel", "avx512f avx512_bf16") == .float32)
        #expect(chosen("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile") == .automatic)
        #expect(chosen("GenuineIntel", "avx2") == .automatic)
        #expect(chosen("AuthenticAMD", "avx512f avx512_bf16") == .automatic)
        #expect(InferencePrecision.onProcessor(cpuinfo: "") == .automatic)
        #expect(InferencePrecision.onProcessor(cpuinfo: "flags : avx512_bf16") == .automatic)
    }

    @Test func thisProcessorIsOneOfThem() {
        #expect([.automatic, .float32].contains(InferencePrecision.ofThisProcessor))
    }
}
