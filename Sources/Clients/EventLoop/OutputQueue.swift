import Glibc

/// A run of bytes of an open file, to be sent by sendfile(2) without passing through this process.
package struct FileRegion {
    /// Kept alive until the region is sent or dropped; must keep `descriptor` open as long as it lives.
    package let owner: AnyObject
    package let descriptor: Int32
    /// Bytes from the start of the file.
    package let offset: Int64
    /// Bytes; the file must not shrink below `offset + length` while the region is queued, else the connection is cut.
    package let length: Int

    package init(owner: AnyObject, descriptor: Int32, offset: Int64, length: Int) {
        self.owner = owner
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }
}

/// What waits to be sent, in order. Small writes are gathered, large ones kept as they are. Confined like its
/// connection.
struct OutputQueue {
    private enum Entry {
        case bytes([UInt8])
        case file(FileRegion)
    }

    enum Progress {
        /// Nothing is left.
        case empty
        /// The socket takes no more just now.
        case blocked
        /// The budget of this call is used up.
        case paused
        /// The peer is gone or a file region was cut short (`EIO`).
        case failed(Int32)
    }

    private var entries: [Entry] = []
    private var first = 0
    /// How much of the first entry is sent.
    private var sent = 0
    /// Bytes queued and not yet taken by the kernel.
    private(set) var count = 0
    /// Writes are gathered up to this size of one entry; an array larger than half of it is not copied.
    private static let gatheredBytesMax = 32_768
    /// Bytes of one TLS record (RFC 8446, section 5.1).
    private static let recordBytesMax = 16_384

    mutating func append(_ bytes: [UInt8]) {
        if bytes.count <= Self.gatheredBytesMax / 2, gather({ $0.append(contentsOf: bytes) }, adding: bytes.count) {
            return
        }
        guard !bytes.isEmpty else { return }
        entries.append(.bytes(bytes))
        count += bytes.count
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard !gather({ $0.append(contentsOf: bytes) }, adding: bytes.count), !bytes.isEmpty else { return }
        entries.append(.bytes(Array(bytes)))
        count += bytes.count
    }

    mutating func append(_ region: FileRegion) {
        guard region.length > 0 else { return }
        entries.append(.file(region))
        count += region.length
    }

    /// Appends to the last entry in place; false where there is none with room.
    private mutating func gather(_ add: (inout [UInt8]) -> Void, adding: Int) -> Bool {
        let last = entries.count - 1
        guard last >= first, case .bytes(var bytes) = entries[last], bytes.count + adding <= Self.gatheredBytesMax
        else { return false }
        // Taken out of the list first, so that the array has one owner and grows in place.
        entries[last] = .bytes([])
        add(&bytes)
        entries[last] = .bytes(bytes)
        count += adding
        return true
    }

    /// Sends until the socket is full, nothing is left, or about `budget` bytes are sent.
    ///
    /// - Parameter tls: encrypts what goes out; nil where it goes as it is.
    mutating func send(to descriptor: Int32, through tls: TLSSession?, budget: Int) -> Progress {
        var left = budget
        while first < entries.count {
            guard left > 0 else { return .paused }
            let (length, result) =
                if let tls { encryptFirst(through: tls) } else { sendFirst(to: descriptor, budget: left) }
            if result < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN || errno == EWOULDBLOCK { return .blocked }
                return .failed(errno)
            }
            // Nothing sent though something was asked: the file has become shorter than the region.
            if result == 0 { return .failed(EIO) }
            sent += result
            count -= result
            left -= result
            if sent == length { dropFirst() }
        }
        return .empty
    }

    private func sendFirst(to descriptor: Int32, budget: Int) -> (length: Int, result: Int) {
        switch entries[first] {
        case .bytes(let bytes):
            let hasMore = first + 1 < entries.count
            let flags = Int32(MSG_NOSIGNAL) | (hasMore ? Int32(MSG_MORE) : 0)
            let result = bytes.withUnsafeBytes { buffer in
                Glibc.send(descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, flags)
            }
            return (bytes.count, result)
        case .file(let region):
            var position = off_t(region.offset) + off_t(sent)
            let result = sendfile(descriptor, region.descriptor, &position, min(region.length - sent, budget))
            return (region.length, result)
        }
    }

    /// As ``sendFirst(to:budget:)``, `errno` included.
    private func encryptFirst(through tls: TLSSession) -> (length: Int, result: Int) {
        switch entries[first] {
        case .bytes(let bytes):
            let outcome = bytes.withUnsafeBytes { tls.write(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            return (bytes.count, Self.result(of: outcome))
        case .file(let region):
            // A write that was refused is repeated with the same bytes, which a file gives again.
            let result = withUnsafeTemporaryAllocation(byteCount: Self.recordBytesMax, alignment: 16) { space in
                let wanted = min(region.length - sent, space.count)
                let count = pread(region.descriptor, space.baseAddress, wanted, off_t(region.offset) + off_t(sent))
                guard count > 0 else { return count }
                return Self.result(of: tls.write(UnsafeRawBufferPointer(rebasing: space[..<count])))
            }
            return (region.length, result)
        }
    }

    private static func result(of outcome: TLSSession.Outcome) -> Int {
        switch outcome {
        case .bytes(let count): return count
        // What it waits for to read, a reading event brings, after which the output is tried again.
        case .blocked, .wantsWrite: errno = EAGAIN
        case .ended: errno = EPIPE
        case .failed(let code): errno = code
        }
        return -1
    }

    private mutating func dropFirst() {
        sent = 0
        entries[first] = .bytes([])
        first += 1
        if first == entries.count {
            first = 0
            entries.removeAll(keepingCapacity: entries.capacity <= 16)
        } else if first >= 64 {
            entries.removeFirst(first)
            first = 0
        }
    }

    mutating func removeAll() {
        entries = []
        first = 0
        sent = 0
        count = 0
    }
}
