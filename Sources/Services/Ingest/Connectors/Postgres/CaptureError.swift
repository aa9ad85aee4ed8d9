/// Why a table's changes cannot be read now: what is wrong, and the way out.
package struct CaptureError: Error, CustomStringConvertible, Equatable {
    package let description: String
    /// Whether changes are lost for good, so that only a new snapshot helps.
    let isLoss: Bool

    init(_ description: String, isLoss: Bool = false) {
        self.description = description
        self.isLoss = isLoss
    }
}
