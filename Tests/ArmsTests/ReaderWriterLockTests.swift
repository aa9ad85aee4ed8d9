import Dispatch
import Glibc
import Testing

@testable import Arms

@Suite struct ReaderWriterLockTests {
    @Test func whoTriesToReadNeverWaits() {
        let lock = ReaderWriterLock()
        #expect(lock.tryReading { 1 } == 1)
        lock.writing { #expect(lock.tryReading { 1 } == nil) }
        let writer = DispatchGroup()
        lock.reading {
            DispatchQueue.global().async(group: writer) { lock.writing {} }
            // As soon as somebody waits to write.
            for _ in 0..<30_000 where lock.tryReading({ 1 }) != nil { usleep(1_000) }
            #expect(lock.tryReading { 1 } == nil)
        }
        #expect(writer.wait(timeout: .now() + 60) == .success)
        #expect(lock.tryReading { 1 } == 1)
    }
}
