import Glibc

/// A pipe by which one thread (or a signal handler) wakes another. Writing never blocks; a byte that finds the pipe full
/// is dropped, since the reader then has plenty to wake for.
package final class WakePipe: Sendable {
    /// Readable while bytes wait.
    package let readEnd: Int32
    package let writeEnd: Int32

    /// - Parameter blocksReader: whether ``read()`` waits for a byte.
    /// - Returns: nil where the process has no descriptor left.
    package init?(blocksReader: Bool) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        (readEnd, writeEnd) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(writeEnd, F_SETFL, O_NONBLOCK)
        if !blocksReader { _ = fcntl(readEnd, F_SETFL, O_NONBLOCK) }
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Wakes the reader.
    package func write(_ byte: UInt8 = 0) { Self.write(byte, to: writeEnd) }

    /// Safe in a signal handler: one system call, `errno` kept.
    package static func write(_ byte: UInt8, to descriptor: Int32) {
        let saved = errno
        var byte = byte
        _ = Glibc.write(descriptor, &byte, 1)
        errno = saved
    }

    /// The next byte; nil when the pipe failed (or is empty and does not block).
    package func read() -> UInt8? {
        var byte: UInt8 = 0
        while true {
            let count = Glibc.read(readEnd, &byte, 1)
            if count == 1 { return byte }
            if count < 0 && errno == EINTR { continue }
            return nil
        }
    }
}
