import JSONScan
package import Logic

extension LogicSettings {
    /// The logic as a declaration writes it: what ``LogicFile`` reads back as the same settings, for documents with the attributes
    /// of the collection, which its declaration has.
    ///
    /// - Throws: ``LogicError`` where the settings cannot be read.
    package func declaredJSON() throws(LogicError) -> [UInt8] {
        let stored: JSONValue
        do throws(JSONError) { stored = try JSONValue.parse(canonicalJSON) } catch {
            throw LogicError(description: "the settings of the logic are no JSON: \(error)")
        }
        // Generations store these two beside what a declaration's member `logic` has.
        let own = (stored.object ?? []).filter { $0.key != "logic" && $0.key != "attributes" }
        return Array(JSONValue.object([(key: "type", value: .string(kind.rawValue))] + own).text.utf8)
    }
}
