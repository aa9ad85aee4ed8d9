/// A moment in the changes of an index that is held in memory: behind so many of them.
package struct ChangePlace: Sendable, Hashable {
    /// Tells the index from others that were loaded before or after it.
    package var log: UInt64
    /// How many changes there were by then.
    package var number: Int

    package init(log: UInt64, number: Int) {
        self.log = log
        self.number = number
    }
}
