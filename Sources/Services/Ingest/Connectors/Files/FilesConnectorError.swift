/// A folder, a file or a state that the connector cannot use: what, and what next.
package struct FilesConnectorError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
