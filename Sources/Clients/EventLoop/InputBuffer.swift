/// Bytes that arrived and were not consumed yet, in one run of memory. Confined like its connection.
struct InputBuffer: ~Copyable {
    private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var start = 0
    private var end = 0
    /// Storage above this is given back as soon as it is empty, so that an idle connection is small.
    private static let keptBytesMax = 4_096

    deinit {
        storage.deallocate()
    }

    var count: Int { end - start }

    /// Bytes of memory held.
    var capacity: Int { storage.count }

    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: storage[start..<end])
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        let space = reserve(bytes.count)
        space.copyMemory(from: bytes)
        end += bytes.count
    }

    /// Free memory behind the bytes, `count` or more; make part of it bytes by ``didWrite(_:)``.
    mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if storage.count - end < count {
            let held = self.count
            if start > 0, storage.count - held >= count, held <= start {
                // Moving down costs at most what was consumed, so the whole stays linear.
                storage.copyMemory(from: bytes)
            } else {
                let capacity = max(held + count, min(storage.count * 2, held + count + 1_048_576))
                let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
                larger.copyMemory(from: bytes)
                storage.deallocate()
                storage = larger
            }
            start = 0
            end = held
        }
        return UnsafeMutableRawBufferPointer(rebasing: storage[end...])
    }

    mutating func didWrite(_ count: Int) {
        end += count
    }

    mutating func consume(_ count: Int) {
        start += count
        guard start == end else { return }
        start = 0
        end = 0
        if storage.count > Self.keptBytesMax {
            storage.deallocate()
            storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
    }
}
