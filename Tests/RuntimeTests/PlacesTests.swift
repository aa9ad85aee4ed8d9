import Concurrency
import Synchronization
import Testing

/// Who is next where several wait for the same.
@Suite struct PlacesTests {
    private static let deadline = Deadline(milliseconds: 50_000)

    /// The order in which tasks had their turn, and a door that the first of them stands in.
    private final class Scene: Sendable {
        let order = Mutex<[String]>([])
        let isOpen = Mutex(false)

        func note(_ name: String) { order.withLock { $0.append(name) } }
        func open() { isOpen.withLock { $0 = true } }

        func holdPlace(of places: Places) async throws {
            try await places.run(deadline: PlacesTests.deadline) {
                note("holder")
                while !isOpen.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
    }

    private func until(_ condition: () -> Bool) async throws {
        for _ in 0..<20_000 where !condition() { try await Task.sleep(for: .milliseconds(1)) }
        #expect(condition())
    }

    /// Tasks that are in line, one behind the other, once this returns.
    private func lineUp(
        _ names: [(owner: Int, name: String)], _ places: Places, _ scene: Scene
    ) async throws -> [Task<Void, any Error>] {
        var tasks: [Task<Void, any Error>] = []
        for (owner, name) in names {
            let waiting = places.waiting
            tasks.append(
                Task {
                    try await WorkOwner.$current.withValue(owner) {
                        try await places.run(deadline: Self.deadline) { scene.note(name) }
                    }
                })
            try await until { places.waiting > waiting }
        }
        return tasks
    }

    @Test func ownersTakeTurns() async throws {
        let places = Places(name: "small", count: 1)
        let scene = Scene()
        let holder = Task { try await scene.holdPlace(of: places) }
        try await until { scene.order.withLock { $0 == ["holder"] } }
        let tasks = try await lineUp(
            [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (1, "a4"), (3, "c1"), (2, "b2")], places, scene)
        scene.open()
        try await holder.value
        for task in tasks { try await task.value }
        #expect(scene.order.withLock { $0 } == ["holder", "a1", "b1", "c1", "a2", "b2", "a3", "a4"])
        #expect(places.waiting == 0)
    }

    /// A crowd leaves room in a full line for somebody else, but not for one more of its own.
    @Test func aFullLineHasRoomForOthers() async throws {
        let places = Places(name: "small", count: 1, waitersMax: 3)
        let scene = Scene()
        let holder = Task { try await scene.holdPlace(of: places) }
        try await until { scene.order.withLock { $0 == ["holder"] } }
        let crowd = try await lineUp([(1, "a1"), (1, "a2"), (1, "a3")], places, scene)
        await #expect(throws: WaitError.self) {
            try await WorkOwner.$current.withValue(1) {
                try await places.run(deadline: Self.deadline) { scene.note("a4") }
            }
        }
        let other = Task {
            try await WorkOwner.$current.withValue(2) {
                try await places.run(deadline: Self.deadline) { scene.note("b1") }
            }
        }
        // The crowd's last has left for it.
        await #expect(throws: WaitError.self) { try await crowd[2].value }
        try await until { places.waiting == 3 }
        scene.open()
        try await holder.value
        try await other.value
        for task in crowd.prefix(2) { try await task.value }
        #expect(scene.order.withLock { $0 } == ["holder", "a1", "b1", "a2"])
    }

    @Test func whoIsCancelledLeavesTheLine() async throws {
        let places = Places(name: "small", count: 1)
        let scene = Scene()
        let holder = Task { try await scene.holdPlace(of: places) }
        try await until { scene.order.withLock { $0 == ["holder"] } }
        let tasks = try await lineUp([(1, "a1"), (2, "b1")], places, scene)
        tasks[0].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[0].value }
        scene.open()
        try await holder.value
        try await tasks[1].value
        #expect(scene.order.withLock { $0 } == ["holder", "b1"])
    }
}
