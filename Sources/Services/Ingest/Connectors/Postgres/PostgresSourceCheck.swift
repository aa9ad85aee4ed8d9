import Postgres
package import Sources

/// Looks whether a table's changes could be read now, and changes nothing.
package enum PostgresSourceCheck {
    /// - Parameter idPath: where the logic finds a document's id; nil for not to look at that.
    /// - Returns: a line for people that says what was found.
    /// - Throws: ``CaptureError`` with what has to be mended; `PostgresError`, `FileError`. Without secrets.
    package static func examine(_ declaration: PostgresDeclaration, idPath: String? = nil) throws -> String {
        do {
            let access = try CaptureAccess(declaration, connectMilliseconds: 5_000)
            let connection = try access.connection()
            defer { connection.close() }
            let catalogue = try CaptureCatalogue(connection, declaration, .looking, idPath: idPath)
            var words = ["Postgres \(connection.serverVersion)", declaration.sqlName]
            if !catalogue.hasWholeOldRows {
                words.append(
                    "replica identity DEFAULT (large texts that an update leaves alone are not sent; FULL sends them)")
            }
            if !catalogue.isPublished { words.append("publication \(declaration.publication) not there yet") }
            if let slot = try CaptureSlot.read(connection, declaration) {
                if slot.isLost { throw CaptureSlot.invalidated(declaration) }
                words.append("slot \(declaration.slot) confirmed up to \(PostgresText.position(slot.confirmed))")
            } else {
                words.append("slot \(declaration.slot) not there yet")
            }
            return words.joined(separator: ", ")
        } catch {
            throw CaptureError(declaration.dsn.scrubbed("\(error)"))
        }
    }
}
