package import Files
import Hashing
import Records

/// Whose arms a file holds, and as what they were made: all of it must be as wanted for the file to be of use.
package struct ArmsIdentity: Sendable, Equatable {
    /// Of the database.
    package var database: String
    package var tenant: String
    package var generation: Int64
    /// The number of the vectors' model in the index and its name; 0 and empty where there are no vectors.
    package var model: Int32
    package var modelName: String
    /// How many numbers a vector has.
    package var dimensions: Int
    /// The way in which passages are cut into words.
    package var analyzer: Int32

    package init(
        database: String, tenant: String, generation: Int64, model: Int32, modelName: String, dimensions: Int,
        analyzer: Int32
    ) {
        self.database = database
        self.tenant = tenant
        self.generation = generation
        self.model = model
        self.modelName = modelName
        self.dimensions = dimensions
        self.analyzer = analyzer
    }

    func write(to writer: inout PackedWriter) {
        writer.text(database)
        writer.text(tenant)
        writer.signed(generation)
        writer.signed(Int64(model))
        writer.text(modelName)
        writer.count(dimensions)
        writer.signed(Int64(analyzer))
    }

    init(from reader: inout PackedReader) throws(PackedError) {
        (database, tenant, generation) = (try reader.text(), try reader.text(), try reader.signed())
        guard let model = Int32(exactly: try reader.signed()) else { throw PackedError() }
        (self.model, modelName) = (model, try reader.text())
        guard let dimensions = Int(exactly: try reader.number()), dimensions <= 1 << 20,
            let analyzer = Int32(exactly: try reader.signed())
        else { throw PackedError() }
        (self.dimensions, self.analyzer) = (dimensions, analyzer)
    }

    /// Why a file of other arms is of no use.
    func difference(from wanted: ArmsIdentity) -> String? {
        if database != wanted.database { return "it is of another database" }
        if tenant != wanted.tenant { return "it is of another tenant" }
        if generation != wanted.generation { return "it is of another generation" }
        if analyzer != wanted.analyzer { return "its passages were cut into words another way" }
        return self == wanted ? nil : "its vectors are of another model"
    }
}

/// What a file's first piece says, besides whose it is.
struct ArmsFileHead {
    /// How far each table went when it was begun: slots, vectors, words.
    var slots: Int
    var vectors: Int
    var words: Int
    var version: Int64
    var stamp: Int64
    /// By number.
    var collections: [String]
    /// That the arms took in memory.
    var bytes: Int

    func write(to writer: inout PackedWriter) {
        writer.count(slots)
        writer.count(vectors)
        writer.count(words)
        writer.signed(version)
        writer.signed(stamp)
        writer.count(collections.count)
        collections.forEach { writer.text($0) }
        writer.count(bytes)
    }

    init(
        slots: Int, vectors: Int, words: Int, version: Int64, stamp: Int64, collections: [String], bytes: Int = 0
    ) {
        self.bytes = bytes
        (self.slots, self.vectors, self.words) = (slots, vectors, words)
        (self.version, self.stamp, self.collections) = (version, stamp, collections)
    }

    init(from reader: inout PackedReader) throws(PackedError) {
        func count(_ reader: inout PackedReader) throws(PackedError) -> Int {
            let value = try reader.number()
            guard value < UInt64(UInt32.max) else { throw PackedError() }
            return Int(value)
        }
        (slots, vectors, words) = (try count(&reader), try count(&reader), try count(&reader))
        (version, stamp) = (try reader.signed(), try reader.signed())
        collections = []
        for _ in 0..<(try reader.count()) { collections.append(try reader.text()) }
        guard let bytes = Int(exactly: try reader.number()) else { throw PackedError() }
        self.bytes = bytes
    }
}

/// The reading of a file was given up as its reader asked.
package struct ArmsReadingGivenUp: Error { package init() {} }

extension ArmsIndex {
    /// Writes all that a version shows into a file, in pieces between which it may change: searches wait for none of it, changes for
    /// one piece. After a crash the file is as it was before, or all there.
    ///
    /// - Parameters:
    ///   - goesOn: asked between pieces; false gives it up.
    /// - Returns: the version and how many bytes the file has; nil where it was given up, or another process is writing it, or it is
    ///   not known when the version came to be.
    package func write(
        to path: String, as identity: ArmsIdentity, goesOn: () -> Bool
    ) throws(FileError) -> (version: Int64, bytes: Int)? {
        let temporary = path + ".tmp"
        // It holds texts of documents.
        var file = try File(temporary, .readWrite, permissions: 0o600)
        // Not where another has just given it its name, either.
        guard try file.tryLock(), file.bearsItsName else { return nil }
        guard let cut = lock.reading({ ArmsCut(state) }) else {
            try Folder.removeIfPresent(temporary)
            return nil
        }
        do throws(FileError) {
            var writer = PieceWriter(file)
            try writer.begin()
            try writer.write(.head, cut.head(identity))
            var place = ArmsCut.Place.first
            while let next = lock.reading({ cut.piece(at: place, of: state) }) {
                if let piece = next.piece { try writer.write(next.kind, piece) }
                place = next.following
                guard goesOn(), lock.reading({ cut.holds(state) }) else {
                    try Folder.removeIfPresent(temporary)
                    return nil
                }
            }
            return (cut.head.version, try writer.finish(as: path))
        } catch {
            try? Folder.removeIfPresent(temporary)
            throw error
        }
    }

    /// Reads a file.
    ///
    /// - Parameters:
    ///   - wanted: what it must be of.
    ///   - goesOn: asked between pieces, with the bytes that the arms will take in memory at least; false gives it up.
    /// - Returns: the arms, and when their version came to be, as the index said.
    /// - Throws: ``ArmsFileError`` where it is of no use, `FileError`, ``ArmsReadingGivenUp``.
    package static func read(
        _ path: String, as wanted: ArmsIdentity, goesOn: (_ bytes: Int) -> Bool = { _ in true }
    ) throws -> (index: ArmsIndex, stamp: Int64) {
        try read(path, as: wanted, coarse: CoarseSettings(), effort: VectorArm.Effort(), goesOn: goesOn)
    }

    static func read(
        _ path: String, as wanted: ArmsIdentity, coarse: CoarseSettings, effort: VectorArm.Effort,
        goesOn: (_ bytes: Int) -> Bool = { _ in true }
    ) throws -> (index: ArmsIndex, stamp: Int64) {
        do {
            var pieces = try PieceReader.opened(path)
            guard let first = try pieces.next(), first.kind == .head else { throw ArmsFileError("it has no head") }
            var reader = PackedReader(first.piece.rest)
            let identity = try ArmsIdentity(from: &reader)
            if let difference = identity.difference(from: wanted) { throw ArmsFileError(difference) }
            var loading = try ArmsLoading(
                try ArmsFileHead(from: &reader), dimensions: identity.dimensions, fileBytes: pieces.size,
                coarse: coarse, effort: effort)
            let head = loading.head
            guard goesOn(head.bytes) else { throw ArmsReadingGivenUp() }
            while var next = try pieces.next() {
                try loading.take(next.kind, &next.piece)
                guard goesOn(max(head.bytes, loading.bytes)) else { throw ArmsReadingGivenUp() }
            }
            let bytes = max(head.bytes, loading.bytes)
            let index = ArmsIndex(try loading.finished { goesOn(bytes) })
            index.learnIfDue()
            return (index, head.stamp)
        } catch is PackedError {
            throw ArmsFileError("a piece makes no sense")
        }
    }
}
