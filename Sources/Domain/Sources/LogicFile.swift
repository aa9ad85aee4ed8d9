import Files
import JSONScan
package import Logic
import Records

/// A file that holds one logic, written as the member `logic` of a declaration.
package enum LogicFile {
    /// A larger file is refused.
    package static let bytesMax = 1 << 20
    private static let depthMax = 16

    /// Reads another logic of a source. Attributes are its collection's, as it declares them.
    ///
    /// - Parameter defaults: what a recent change's logic takes where the file says nothing: the environment's.
    /// - Throws: ``DeclarationError`` with all that is wrong at once; `FileError` where it cannot be read.
    package static func read(
        _ path: String, of source: SourceDeclaration, defaults: TransformSettings
    ) throws -> LogicSettings {
        try parse(File.contents(of: path, bytesMax: bytesMax), file: path, of: source, defaults: defaults)
    }

    /// - Parameter file: for messages.
    package static func parse(
        _ bytes: [UInt8], file: String, of source: SourceDeclaration, defaults: TransformSettings
    ) throws(DeclarationError) -> LogicSettings {
        let faults = DeclarationFaults()
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(bytes, maxDepth: depthMax) } catch {
            throw DeclarationError(
                file: file, faults: [DeclarationFault(place: "the file", reason: "is not JSON (\(error))")])
        }
        let reader = DeclarationReader(value: value, place: "", faults: faults)
        var attributes: [MappedAttribute] = []
        if case .document(let settings) = source.logic { attributes = settings.attributes }
        let logic = LogicReading.kind(reader).flatMap {
            LogicReading.declared($0, reader, attributes: attributes, defaults: defaults)
        }
        if let logic, logic.kind != source.logic.kind {
            faults.add("type", "must be \"\(source.logic.kind.rawValue)\": a source keeps its kind of logic")
        }
        guard let logic, faults.all.isEmpty else { throw DeclarationError(file: file, faults: faults.all) }
        return logic
    }
}
