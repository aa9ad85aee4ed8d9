import Glibc

/// Lets many read at once, or one write. Who writes comes before those who begin to read after it, so that searches without end
/// cannot keep an arm from following the index.
///
/// `@unchecked Sendable` because it holds a pointer; the lock behind it is made for use by several threads, stays where it is
/// from `init` to `deinit`, and nothing else refers to it.
final class ReaderWriterLock: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)

    init() {
        var attributes = pthread_rwlockattr_t()
        pthread_rwlockattr_init(&attributes)
        pthread_rwlockattr_setkind_np(&attributes, Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP))
        lock.initialize(to: pthread_rwlock_t())
        pthread_rwlock_init(lock, &attributes)
        pthread_rwlockattr_destroy(&attributes)
    }

    deinit {
        pthread_rwlock_destroy(lock)
        lock.deinitialize(count: 1)
        lock.deallocate()
    }

    /// Not to be called within another call of the same thread.
    func reading<R>(_ body: () throws -> R) rethrows -> R {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    /// As ``reading(_:)``, but does nothing and gives nil where somebody writes or waits to, so that it never waits.
    func tryReading<R>(_ body: () throws -> R) rethrows -> R? {
        guard pthread_rwlock_tryrdlock(lock) == 0 else { return nil }
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    /// Not to be called within another call of the same thread.
    func writing<R>(_ body: () throws -> R) rethrows -> R {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }
}
