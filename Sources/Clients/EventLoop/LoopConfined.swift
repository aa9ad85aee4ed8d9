/// A value that belongs to one loop's thread, in a box that may travel.
///
/// For per-connection state that a `@Sendable` closure has to mention, for example one given to
/// ``EventLoop/execute(_:)``.
///
/// `@unchecked Sendable`, because the value is reachable only through ``value``, and that traps anywhere but on the
/// loop's thread; the initialiser takes the value over (`sending`), so nobody else holds a way into it. The last
/// reference may be dropped on any thread, so the value's `deinit` must not touch the loop.
package final class LoopConfined<Value>: @unchecked Sendable {
    package let loop: EventLoop
    private var storage: Value

    /// May be called on any thread.
    package init(_ value: sending Value, on loop: EventLoop) {
        self.loop = loop
        storage = value
    }

    /// The value; only on the loop's thread.
    package var value: Value {
        get {
            loop.assertInLoop()
            return storage
        }
        set {
            loop.assertInLoop()
            storage = newValue
        }
    }
}
