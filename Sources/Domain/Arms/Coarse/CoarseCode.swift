import CVectorScan

/// The codes of vectors in lists: two bits a number, its sign and whether it is large, as a vector's own length has it. Of
/// numbers that are spread normally, that says twice as much as the signs alone: what is left open is 12 % of a number's
/// square and not 36 %. Levels and bound are Lloyd's and Max's (Max: "Quantizing for Minimum Distortion", 1960).
///
/// Half a byte has two numbers, each with its sign in the lower bit, the first number in the lower two.
enum CoarseCode {
    private static let (small, large, bound) = (Float(0.4528), Float(1.510), Float(0.9816))

    /// Bytes of a code.
    static func bytes(dimensions: Int) -> Int { (dimensions + 3) / 4 }

    /// Calls `body` with each byte of a vector's code.
    static func forEachByte(of slot: Int, _ table: VectorTable, _ body: (_ number: Int, _ byte: UInt8) -> Void) {
        let count = bytes(dimensions: table.dimensions)
        var numbers = [Float](repeating: 0, count: 4 * count)
        let scale = table.scale(of: slot) * Float(table.dimensions).squareRoot()
        cvs_add(table.halves(of: slot), scale, table.dimensions, &numbers)
        numbers.withUnsafeBufferPointer { numbers in
            for number in 0..<count {
                var byte: UInt8 = 0
                for place in 0..<4 {
                    let value = numbers[4 * number + place]
                    byte |= (value >= 0 ? 1 : 0) << UInt8(2 * place)
                    byte |= (value.magnitude > bound ? 2 : 0) << UInt8(2 * place)
                }
                body(number, byte)
            }
        }
    }

    /// For each half of a code's bytes and each of its values, how much further off a vector is for it than one could be, in some
    /// unit in which no distance is too large (see `cvs_weighed`).
    static func costs(_ numbers: [Float]) -> [UInt8] {
        let halves = 2 * bytes(dimensions: numbers.count)
        var costs = [Float](repeating: 0, count: halves * 16)
        var most: Float = 0
        for half in 0..<halves {
            let (one, other) = (number(2 * half, numbers), number(2 * half + 1, numbers))
            let best = large * (one.magnitude + other.magnitude)
            for value in 0..<16 {
                costs[16 * half + value] = best - one * level(value & 3) - other * level(value >> 2)
            }
            most = max(most, 2 * best)
        }
        let levels = min(127, Float(Int(UInt16.max) / max(1, halves)))
        let unit = most > 0 ? levels / most : 0
        return costs.map { UInt8(max(0, min(levels, ($0 * unit).rounded()))) }
    }

    private static func number(_ place: Int, _ numbers: [Float]) -> Float {
        place < numbers.count && numbers[place].isFinite ? numbers[place] : 0
    }

    private static func level(_ bits: Int) -> Float {
        let size = bits & 2 == 0 ? small : large
        return bits & 1 == 0 ? -size : size
    }
}
