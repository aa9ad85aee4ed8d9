import CICU

/// ICU's normal forms: objects of the library that live as long as the process and are safe to use from any thread.
struct NormalForms {
    let compatible: OpaquePointer
    let caseFolded: OpaquePointer
    private let compatiblyDecomposed: OpaquePointer
    private let composed: OpaquePointer

    init() throws(TextError) {
        func open(_ get: (UnsafeMutablePointer<UErrorCode>) -> OpaquePointer?) throws(TextError) -> OpaquePointer {
            var status = U_ZERO_ERROR
            guard let form = get(&status), medallion_icu_failed(status) == 0 else {
                throw TextError(operation: "open a normal form", reason: String(cString: medallion_icu_error(status)))
            }
            return form
        }
        compatible = try open(medallion_icu_nfkc)
        caseFolded = try open(medallion_icu_nfkc_casefold)
        compatiblyDecomposed = try open(medallion_icu_nfkd)
        composed = try open(medallion_icu_nfc)
    }

    /// Appends `source` in `form` to `output`; text that ICU refuses (out of memory) is appended as it is.
    func append(
        _ source: UnsafeBufferPointer<UInt16>, in form: OpaquePointer, to output: inout [UInt16]
    ) {
        guard let start = source.baseAddress, !source.isEmpty else { return }
        var capacity = source.count + source.count / 2 + 16
        for _ in 0..<2 {
            var status = U_ZERO_ERROR
            var written: Int32 = 0
            output.append(addingCapacity: capacity) { span in
                span.withUnsafeMutableBufferPointer { buffer, count in
                    written = medallion_icu_normalize(
                        form, start, Int32(source.count), buffer.baseAddress, Int32(capacity), &status)
                    count = medallion_icu_failed(status) == 0 ? Int(written) : 0
                }
            }
            if medallion_icu_failed(status) == 0 { return }
            guard status == U_BUFFER_OVERFLOW_ERROR else { break }
            capacity = Int(written)
        }
        output.append(contentsOf: source)
    }

    /// How many units of the beginning are in normal form KC beyond doubt.
    func normalPrefix(_ source: UnsafeBufferPointer<UInt16>) -> Int {
        guard let start = source.baseAddress else { return 0 }
        var status = U_ZERO_ERROR
        let count = medallion_icu_normal_prefix(compatible, start, Int32(source.count), &status)
        return medallion_icu_failed(status) == 0 ? Int(count) : 0
    }

    /// Whether normal form KC can be made of what is before this character and of what begins with it apart.
    func isBoundary(_ scalar: UInt32) -> Bool { medallion_icu_is_boundary(compatible, UChar32(scalar)) != 0 }

    /// A case-folded word without accents; nil where that changes nothing.
    ///
    /// - Parameter digraphs: whether ä is ae, and so on.
    func folded(_ word: [UInt16], digraphs: Bool) -> [UInt16]? {
        var source = word
        if digraphs {
            source = []
            var changed = false
            for unit in word {
                if let two = AccentFolding.digraph(UInt32(unit)) {
                    source.append(contentsOf: two.utf16)
                    changed = true
                } else {
                    source.append(unit)
                }
            }
            guard changed else { return nil }
        }
        var apart: [UInt16] = []
        source.withUnsafeBufferPointer { append($0, in: compatiblyDecomposed, to: &apart) }
        var plain: [UInt16] = []
        var place = 0
        while place < apart.count {
            let (scalar, width) = apart.scalar(at: place)
            defer { place += width }
            if AccentFolding.isAccent(scalar) {
                if let last = plain.last, AccentFolding.makesLetter(scalar, of: last) { plain.append(UInt16(scalar)) }
                continue
            }
            if let replacement = AccentFolding.replacement(scalar) {
                plain.append(contentsOf: replacement.utf16)
                continue
            }
            let digit = scalar < 0x80 ? -1 : medallion_icu_digit(UChar32(scalar))
            if digit >= 0 {
                plain.append(UInt16(0x30 + digit))
            } else {
                plain.append(contentsOf: apart[place..<place + width])
            }
        }
        var result: [UInt16] = []
        plain.withUnsafeBufferPointer { append($0, in: composed, to: &result) }
        return result == word ? nil : result
    }
}

extension [UInt16] {
    /// The scalar value that begins at `place`, and its units.
    @inline(__always)
    func scalar(at place: Int) -> (value: UInt32, width: Int) {
        let unit = self[place]
        guard unit & 0xFC00 == 0xD800, place + 1 < count, self[place + 1] & 0xFC00 == 0xDC00 else {
            return (UInt32(unit), 1)
        }
        return (0x10000 + (UInt32(unit & 0x3FF) << 10 | UInt32(self[place + 1] & 0x3FF)), 2)
    }

    /// Appends the units from `start` to `end` as UTF-8.
    func appendUTF8(_ start: Int, _ end: Int, to bytes: inout [UInt8]) {
        var place = start
        while place < end {
            let (scalar, width) = scalar(at: place)
            switch scalar {
            case 0..<0x80: bytes.append(UInt8(scalar))
            case 0x80..<0x800:
                bytes.append(UInt8(0xC0 | scalar >> 6))
                bytes.append(UInt8(0x80 | scalar & 63))
            case 0x800..<0x10000:
                bytes.append(UInt8(0xE0 | scalar >> 12))
                bytes.append(UInt8(0x80 | scalar >> 6 & 63))
                bytes.append(UInt8(0x80 | scalar & 63))
            default:
                bytes.append(UInt8(0xF0 | scalar >> 18))
                bytes.append(UInt8(0x80 | scalar >> 12 & 63))
                bytes.append(UInt8(0x80 | scalar >> 6 & 63))
                bytes.append(UInt8(0x80 | scalar & 63))
            }
            place += width
        }
    }
}

/// ICU's word boundaries with its dictionaries. One at a time may use it, so it is not copyable; opening it takes long,
/// so it is kept.
struct WordBoundaries: ~Copyable {
    private let iterator: OpaquePointer

    init() throws(TextError) {
        var status = U_ZERO_ERROR
        guard let iterator = medallion_icu_open_words(&status), medallion_icu_failed(status) == 0 else {
            throw TextError(
                operation: "open the word boundaries", reason: String(cString: medallion_icu_error(status)))
        }
        self.iterator = iterator
    }

    deinit { medallion_icu_close_words(iterator) }

    /// Where the words of `text` end, ascending, the last its end. Text that ICU refuses is one word.
    func ends(of text: [UInt16], into ends: inout [Int]) {
        ends.removeAll(keepingCapacity: true)
        text.withUnsafeBufferPointer { buffer in
            var status = U_ZERO_ERROR
            medallion_icu_set_text(iterator, buffer.baseAddress, Int32(buffer.count), &status)
            guard medallion_icu_failed(status) == 0 else { return }
            while true {
                let end = medallion_icu_next(iterator)
                guard end >= 0 else { break }
                ends.append(Int(end))
            }
            // The iterator must not keep an address that is gone.
            medallion_icu_set_text(iterator, nil, 0, &status)
        }
        if ends.last != text.count { ends.append(text.count) }
    }
}
