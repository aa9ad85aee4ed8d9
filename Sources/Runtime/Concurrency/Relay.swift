/// Resumes tasks on behalf of low-priority threads.
///
/// Resuming a task may create the pool's thread that runs it, and a new thread inherits the priority of its creator. Tasks that others
/// wait for would then run at that priority for good, since only root may raise it again.
package enum Relay {
    private static let lane = Lane(name: "relay", inboxMax: 60_000)

    /// Makes its thread, by a thread that does not stand back.
    static func prepare() { _ = lane }

    /// Runs `body`, which is short, on a thread of its own soon; at once where that is not to be had.
    package static func perform(_ body: @escaping @Sendable () -> Void) {
        do { try lane.post(body) } catch { body() }
    }
}
