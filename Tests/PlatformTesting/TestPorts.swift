import Glibc

/// Ports for processes that end and come back: below those that the system gives to outgoing connections, so that nobody
/// takes one while its process is down for a moment.
package enum TestPorts {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// `TEST_PORTS`, as `20000-23999`: test processes that run at once have each its own.
    private static let range: ClosedRange<Int> = {
        let bounds = (getenv("TEST_PORTS").map { String(cString: $0) } ?? "").split(separator: "-").compactMap {
            Int($0)
        }
        guard bounds.count == 2, bounds[0] > 1_023, bounds[0] <= bounds[1], bounds[1] < 65_536 else {
            return 20_000...31_999
        }
        return bounds[0]...bounds[1]
    }()

    /// One on which nobody listens at 127.0.0.1.
    package static func free() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: range)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(UInt16(port)).bigEndian
            address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return port }
        }
        throw Failure(description: "no free port in \(range.lowerBound)-\(range.upperBound)")
    }
}
