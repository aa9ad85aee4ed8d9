import Glibc

extension InferencePrecision {
    /// What ``automatic`` means here.
    static let ofThisProcessor = onProcessor(cpuinfo: processorFacts())

    /// - Parameter cpuinfo: of Linux's `/proc/cpuinfo`, at least the first processor.
    /// - Returns: float32 where bfloat16 is there but slow, else ``automatic``.
    static func onProcessor(cpuinfo: String) -> InferencePrecision {
        var isIntel = false
        var flags: Set<Substring> = []
        for line in cpuinfo.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            switch parts[0].split(whereSeparator: { $0 == " " || $0 == "\t" }).first {
            case "vendor_id": isIntel = parts[1].contains("GenuineIntel")
            case "flags" where flags.isEmpty: flags = Set(parts[1].split(separator: " "))
            default: break
            }
        }
        return isIntel && flags.contains("avx512_bf16") && !flags.contains("amx_bf16") ? .float32 : .automatic
    }

    /// The beginning of `/proc/cpuinfo`; empty where it cannot be read, and OpenVINO decides.
    private static func processorFacts() -> String {
        let descriptor = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
}
