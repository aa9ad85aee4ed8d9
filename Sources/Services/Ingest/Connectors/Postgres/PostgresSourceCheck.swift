import Postgres
package import Sources

/// Looks whether a table's changes could be read now, and changes nothing.
package enum PostgresSourceCheck {
    /// - Returns: what is there, for people.
    /// - Throws: ``CaptureError`` with what has to be mended; `PostgresError`, `FileError`. Without secrets.
    package static func examine(_ declaration: PostgresDeclaration) throws -> String {
        do {
            let access = try CaptureAccess(declaration, connectMilliseconds: 5_000)
            let connection = try access.connection()
            defer { connection.close() }
            let catalogue = try CaptureCatalogue(connection, declaration, creates: false)
            var words = ["Postgres \(connection.serverVersion)", declaration.sqlName]
            if !catalogue.hasWholeOldRows {
                words.append(
                    "replica identity DEFAULT (large texts that an update leaves alone are not sent; FULL sends them)")
            }
            if let slot = try CaptureSlot.read(connection, declaration) {
                if slot.isLost {
                    throw CaptureSlot.lost(declaration, "the server gave up the slot \(declaration.slot)")
                }
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
