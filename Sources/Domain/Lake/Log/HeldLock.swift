import Bytes
import Files

/// A lock file that is held. It is let go of at the end of this value's life, and of the process at the latest.
struct HeldLock: ~Copyable {
    private let file: File

    /// Waits until nobody else holds it.
    ///
    /// - Parameters:
    ///   - secondsMax: how long.
    ///   - refusal: what is thrown then.
    init(_ path: String, secondsMax: Int64, refusal: LakeError) throws(LakeError) {
        file = try LakeError.placed(path) {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            var file = try File(path, .readWrite)
            let deadline = SystemClock.monotonicNanoseconds() + secondsMax * 1_000_000_000
            while try !file.tryLock() {
                guard SystemClock.monotonicNanoseconds() < deadline else { throw refusal }
                Pause.milliseconds(5)
            }
            return file
        }
    }
}
