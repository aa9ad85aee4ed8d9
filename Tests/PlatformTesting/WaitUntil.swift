/// Waits until the condition holds, or for as long as anything may take on a busy machine; the test then finds out by itself
/// that it does not hold.
package func waitUntil(
    seconds: Int = 60, isolation: isolated (any Actor)? = #isolation, _ condition: () throws -> Bool
) async rethrows {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    while try !condition(), clock.now < end { try? await Task.sleep(for: .milliseconds(2)) }
}
