import Console
import Glibc
import Synchronization

/// Lines of standard input, each of which is kept up to a bound. One thread reads.
final class MessageLines: Sendable {
    /// What came of one line.
    enum Line: Sendable, Equatable {
        case whole([UInt8])
        /// Longer than the bound; none of it is kept.
        case tooLong
    }

    private struct State {
        /// What read(2) fills.
        var piece = [UInt8](repeating: 0, count: MessageLines.pieceBytes)
        /// What was read behind the last line.
        var rest: [UInt8] = []
        /// Up to where `rest` has no line feed.
        var searched = 0
        var isSkipping = false
        var isOver = false
    }

    private let bytesMax: Int
    private let state = Mutex(State())
    private let read: @Sendable (UnsafeMutableRawBufferPointer) -> Int
    private static let newline: UInt8 = 0x0A
    fileprivate static let pieceBytes = 1 << 16

    /// - Parameters:
    ///   - bytesMax: of a line without its end.
    ///   - read: as read(2) of standard input: bytes, 0 at the end, less than 0 where it fails.
    init(
        bytesMax: Int,
        read: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Int = {
            Glibc.read(STDIN_FILENO, $0.baseAddress, $0.count)
        }
    ) {
        self.bytesMax = bytesMax
        self.read = read
    }

    /// The next line that is not empty; nil at the end. Blocks. A line that the end cuts short is one, too.
    ///
    /// - Throws: ``Failure`` where the input cannot be read.
    func next() throws -> Line? {
        try state.withLock { state in
            while true {
                if let line = taken(from: &state) {
                    if line != .whole([]) { return line }
                    continue
                }
                if state.isOver { return nil }
                try fill(&state)
            }
        }
    }

    /// The first line of what was read; nil where it has no end yet.
    private func taken(from state: inout State) -> Line? {
        if let end = state.rest[state.searched...].firstIndex(of: Self.newline) {
            let isTooLong = state.isSkipping || end > bytesMax
            let line = isTooLong ? [] : Array(state.rest[..<end].drop { $0 == 0x20 || $0 == 0x0D })
            state.rest.removeSubrange(...end)
            (state.searched, state.isSkipping) = (0, false)
            return isTooLong ? .tooLong : .whole(line.last == 0x0D ? line.dropLast() : line)
        }
        state.searched = state.rest.count
        if state.rest.count > bytesMax {
            state.rest.removeAll(keepingCapacity: true)
            (state.searched, state.isSkipping) = (0, true)
        }
        guard state.isOver, !state.rest.isEmpty || state.isSkipping else { return nil }
        state.rest.append(Self.newline)
        return taken(from: &state)
    }

    private func fill(_ state: inout State) throws {
        let count = state.piece.withUnsafeMutableBytes { read($0) }
        let failure = errno
        state.rest.append(contentsOf: state.piece.prefix(max(0, count)))
        if count < 0 {
            guard failure == EINTR else { throw Failure("standard input cannot be read (errno \(failure))") }
        } else if count == 0 {
            state.isOver = true
        }
    }
}
