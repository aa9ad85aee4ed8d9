/// Why a table's changes cannot be read now: what is wrong, and the way out.
package struct CaptureError: Error, CustomStringConvertible, Equatable {
    package let description: String

    init(_ description: String) { self.description = description }
}
