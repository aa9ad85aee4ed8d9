/// Stops what a resource of one thread is doing, from another one.
package struct Interruption: Sendable {
    /// Makes the call that runs now, or the next one, end early with an error. From any thread.
    package let request: @Sendable () -> Void
    /// Forgets requests that came too late for the call they were meant for. From the resource's thread, between calls.
    package let clear: @Sendable () -> Void

    package init(request: @escaping @Sendable () -> Void, clear: @escaping @Sendable () -> Void) {
        self.request = request
        self.clear = clear
    }
}
