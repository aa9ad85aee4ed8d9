/// Stops what a resource of one thread is doing, from another one.
package struct Interruption: Sendable {
    /// Makes the call that runs now, or the next one, end early with an error. From any thread.
    package let request: @Sendable () -> Void
    /// Forgets requests that came too late for the call they were meant for. From the resource's thread, between calls.
    package let clear: @Sendable () -> Void

    /// Whether a request waits to be met or cleared: what is about to begin would be of use to nobody. From any thread.
    package let isRequested: @Sendable () -> Bool

    package init(
        request: @escaping @Sendable () -> Void, clear: @escaping @Sendable () -> Void,
        isRequested: @escaping @Sendable () -> Bool = { false }
    ) {
        self.request = request
        self.clear = clear
        self.isRequested = isRequested
    }
}
