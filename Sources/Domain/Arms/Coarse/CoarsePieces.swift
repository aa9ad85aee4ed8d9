/// The pieces of a file that hold ``CoarseLists``. What makes no sense in them, or is damaged, is done without: lists are
/// learnt again from the vectors, and nothing that is exact depends on them.
struct CoarsePieces {
    private var centres: CoarseCentres?
    private var learnt = 0
    private var distance = 0.0
    private var reach = CoarseReach(vectors: 0, codes: 0, power: 0)
    private var listOf: [UInt32] = []
    private var isSpoilt = false

    private static let form: UInt32 = 1

    static func write(_ lists: CoarseLists, to piece: inout PieceBytes) {
        let centres = lists.centres
        piece.append(form)
        piece.append(UInt32(lists.learnt))
        piece.append(numbers: [lists.distance, lists.reach.vectors, lists.reach.codes, lists.reach.power][...])
        piece.append(UInt32(centres.ends.count))
        piece.append(numbers: centres.ends[...])
        piece.append(numbers: centres.groups[...])
        piece.append(numbers: centres.halves[...])
    }

    mutating func take(_ kind: PieceKind, _ piece: inout PieceContent, dimensions: Int) {
        guard !isSpoilt, piece.isSound else { return isSpoilt = true }
        do {
            switch kind {
            case .centres where centres == nil: try takeCentres(&piece, dimensions)
            case .lists where centres != nil:
                listOf += try piece.numbers(piece.rest.count / 4, of: UInt32(0))
                isSpoilt = !piece.isAtEnd
            default: isSpoilt = true
            }
        } catch {
            isSpoilt = true
        }
    }

    private mutating func takeCentres(_ piece: inout PieceContent, _ dimensions: Int) throws {
        guard try piece.number() == Self.form else { return isSpoilt = true }
        learnt = Int(try piece.number())
        let numbers = try piece.numbers(4, of: 0.0)
        distance = numbers[0]
        reach = CoarseReach(vectors: numbers[1], codes: numbers[2], power: numbers[3])
        let ends = try piece.numbers(Int(try piece.number()), of: UInt32(0))
        let groups = try piece.numbers(ends.count * dimensions, of: UInt16(0))
        let halves = try piece.numbers(Int(ends.last ?? 0) * dimensions, of: UInt16(0))
        centres = CoarseCentres(dimensions: dimensions, groups: groups, ends: ends, halves: halves)
        let areSound = numbers.allSatisfy(\.isFinite) && (0...2).contains(distance) && reach.isSound(learnt: learnt)
        isSpoilt =
            !areSound || centres == nil || !piece.isAtEnd
            || !(groups + halves).allSatisfy { $0 & 0x7c00 != 0x7c00 }
    }

    /// The lists, still empty; nil where there are none that make sense.
    ///
    /// - Parameter vectors: that the file has.
    func lists(vectors: Int) -> CoarseLists? {
        guard !isSpoilt, let centres, listOf.count <= vectors,
            listOf.allSatisfy({ $0 < UInt32(centres.count) || $0 == CoarseLists.none })
        else { return nil }
        return CoarseLists(
            centres, learnt: learnt, distance: distance, reach: reach, listOf: listOf)
    }
}
