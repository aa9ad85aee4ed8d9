import Bytes
import Glibc

/// Times among the attributes of documents stand there as texts, which a line does not tell from others: those of one form,
/// RFC 3339 in UTC with milliseconds, compare with times. In this form the order of texts is that of times, so that a
/// database needs to parse none.
enum TimeText {
    /// Digits where there is a `0`.
    private static let form: StaticString = "0000-00-00T00:00:00.000Z"

    /// Below 0 where the text comes before the time, 0 where it names it; nil where it is not of the form. Allocates nothing.
    static func order(_ text: String, against milliseconds: Int64) -> Int? {
        withBytes(of: text) { bytes in
            guard isOfForm(bytes) else { return nil }
            return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: CivilTime.rfc3339Count) { other in
                guard let start = bytes.baseAddress, let otherStart = other.baseAddress else { return nil }
                CivilTime.writeRFC3339(milliseconds, to: otherStart)
                return Int(memcmp(start, otherStart, CivilTime.rfc3339Count))
            }
        }
    }

    /// The time that a text of the form names; nil where it names none.
    static func milliseconds(_ text: String) -> Int64? {
        guard text.utf8.count == CivilTime.rfc3339Count, withBytes(of: text, { isOfForm($0) }) else { return nil }
        return CivilTime.epochMilliseconds(text)
    }

    private static func withBytes<Result>(of text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        text.utf8.withContiguousStorageIfAvailable(body) ?? Array(text.utf8).withUnsafeBufferPointer(body)
    }

    private static func isOfForm(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard bytes.count == form.utf8CodeUnitCount else { return false }
        for place in bytes.indices {
            let wanted = form.utf8Start[place]
            let isDigit = bytes[place] >= UInt8(ascii: "0") && bytes[place] <= UInt8(ascii: "9")
            guard wanted == UInt8(ascii: "0") ? isDigit : bytes[place] == wanted else { return false }
        }
        return true
    }
}
