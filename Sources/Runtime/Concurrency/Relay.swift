/// Wakes tasks for threads that stand back.
///
/// Who resumes a task may make the thread that runs it, since the pool grows where it is asked to, and a thread has its maker's priority.
/// So a thread that stands back would take tasks along that others wait for; and who is not root cannot take that back.
package enum Relay {
    private static let lane = Lane(name: "relay", inboxMax: 60_000)

    /// Makes its thread, by a thread that does not stand back.
    static func prepare() { _ = lane }

    /// Runs `body`, which is short, on a thread of its own soon; at once where that is not to be had.
    package static func perform(_ body: @escaping @Sendable () -> Void) {
        do { try lane.post(body) } catch { body() }
    }
}
