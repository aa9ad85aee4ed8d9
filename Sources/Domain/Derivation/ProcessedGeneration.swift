package import Logic
import Records

extension RecordProcessor {
    /// One generation with its logic and the lines made since the last ``removeLines()``.
    package struct Generation {
        package let number: Int64
        package internal(set) var logic: Logic
        package internal(set) var lines = DerivedLines()
        /// Whether the record at hand is a duplicate by this generation's bounds.
        var leavesOut = false
        /// Where the logic's fields stand among those of the parser.
        var places: [Int] = []
        let limits: DuplicateWindow.Limits
        let followsRedrives: Bool
        let followsMarks: Bool
        let passesTombstones: Bool
        /// Whether the texts of earlier records decide, too.
        let hasWindow: Bool

        init(_ number: Int64, _ logic: Logic) {
            let settings = logic.settings
            self.number = number
            self.logic = logic
            limits = settings.duplicates
            followsRedrives = settings.followsRedrives
            followsMarks = settings.followsRepeatMarks
            passesTombstones = settings.passesTombstones
            hasWindow = logic.hasWindow
        }

        mutating func apply(
            _ record: borrowing SourceRecord, fields: EventFields, bronzeSHA256: [UInt8],
            embedsValue: Bool, hasher: inout LibraryHasher,
            goldLine: (UnsafeBufferPointer<UInt8>, UnsafeRawBufferPointer) -> Void
        ) throws {
            try logic.apply(
                record, fields: fields, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue, hasher: &hasher,
                output: &lines, goldLine: goldLine)
        }

        mutating func reject(
            _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
            bronzeSHA256: [UInt8]?, embedsValue: Bool
        ) {
            logic.reject(
                record, rejection, eventID: eventID, bronzeSHA256: bronzeSHA256, embedsValue: embedsValue,
                output: &lines)
        }
    }
}
