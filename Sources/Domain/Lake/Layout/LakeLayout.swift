import Bytes
import Files
package import Records

/// The layers that hold data files.
package enum Layer: String, CaseIterable, Sendable {
    case bronze, silver, gold, quarantine

    /// The layers that belong to a generation.
    package static let derived: [Layer] = [.silver, .gold, .quarantine]
}

/// One hour of broker time, the grain of lake partitions.
package struct LakeHour: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Hours since 1970-01-01T00:00Z.
    package let number: Int64

    package init(number: Int64) { self.number = number }

    /// - Parameter epochMilliseconds: a broker time; a negative one (a client's -1 for "none") counts as the first hour.
    package init(containing epochMilliseconds: Int64) {
        number = max(0, epochMilliseconds) / 3_600_000
    }

    package static func < (left: LakeHour, right: LakeHour) -> Bool { left.number < right.number }

    /// `date=YYYY-MM-DD/hour=HH`, as Hive partitions.
    package var path: String {
        let civil = CivilTime(epochMilliseconds: number * 3_600_000)
        var text = Array("date=".utf8)
        civil.appendDate(to: &text)
        text.append(contentsOf: "/hour=".utf8)
        Decimal.append(Int64(civil.hour), width: 2, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    package var description: String { path }
}

/// Names one data file of the lake, open or sealed.
package struct DataFileName: Hashable, Sendable {
    package let layer: Layer
    /// nil for Bronze, which has no generations.
    package let generation: Int64?
    package let source: TopicPartition
    package let hour: LakeHour
    /// The first Bronze offset of the hour in this layer.
    package let firstOffset: Int64

    package init(layer: Layer, generation: Int64?, source: TopicPartition, hour: LakeHour, firstOffset: Int64) {
        self.layer = layer
        self.generation = generation
        self.source = source
        self.hour = hour
        self.firstOffset = firstOffset
    }
}

/// Where everything lies below the lake's root.
package struct LakeLayout: Sendable {
    package let root: String
    /// Where sealed files may have moved to; nil where no object storage is set.
    package let objects: LakeObjects?

    /// - Parameter root: the lake's folder.
    package init(root: String, objects: LakeObjects? = nil) {
        self.root = Folder.withoutTrailingSlashes(root)
        self.objects = objects
    }

    /// The folder that holds the root's own name.
    var above: String { Folder.parent(of: root) }

    /// The list of generations.
    package var generationLog: String { root + "/_generations.log" }

    /// The file whose lock says who makes a generation by a replay.
    func replayLock(_ generation: Int64) -> String { "\(root)/_generations.replay-\(generation).lock" }

    /// The commit log of a topic partition.
    ///
    /// - Parameter replay: the generation whose replayed part is meant; nil for the live log.
    package func commitLog(_ source: TopicPartition, replay: Int64? = nil) -> String {
        let folder = replay.map { "_commits/generation=\($0)" } ?? "_commits"
        return "\(root)/\(folder)/topic=\(source.topic)/partition=\(source.partition).log"
    }

    /// The file whose lock says who writes a topic partition.
    package func lock(_ source: TopicPartition) -> String {
        "\(root)/_commits/topic=\(source.topic)/partition=\(source.partition).lock"
    }

    /// What was decided about a topic partition's quarantined records.
    package func quarantineLog(_ source: TopicPartition) -> String {
        "\(root)/_quarantine/topic=\(source.topic)/partition=\(source.partition).log"
    }

    /// Where a topic partition's data files lie, in folders of their hours.
    ///
    /// - Parameter generation: nil for Bronze.
    func folder(of layer: Layer, generation: Int64?, source: TopicPartition) -> String {
        "\(folder(of: layer, generation: generation, topic: source.topic))/partition=\(source.partition)"
    }

    /// What was suppressed and lifted.
    package var suppressionLog: String { "\(root)/_suppressions.log" }

    /// What was erased, and how far that is.
    package var erasureLog: String { "\(root)/_erasures.log" }

    /// What an erasure is about to put in the place of a topic partition's sealed files.
    func erasurePlan(_ source: TopicPartition) -> String {
        "\(root)/_erasures/topic=\(source.topic)/partition=\(source.partition).log"
    }

    /// Says which sealed files of one date are in the object storage.
    package func tierLog(_ source: TopicPartition, hour: LakeHour) -> String {
        let date = hour.path.prefix { $0 != "/" }
        return "\(root)/_tiers/topic=\(source.topic)/partition=\(source.partition)/\(date).log"
    }

    /// Says what retention gave up of a topic partition.
    package func retentionLog(_ source: TopicPartition) -> String {
        "\(root)/_tiers/topic=\(source.topic)/partition=\(source.partition)/retention.log"
    }

    /// The file whose lock says who moves or removes sealed files of a topic partition.
    package func upkeepLock(_ source: TopicPartition) -> String {
        "\(root)/_tiers/topic=\(source.topic)/partition=\(source.partition).lock"
    }

    /// The folder of what a layer holds of a topic.
    ///
    /// - Parameter generation: nil for Bronze, which has no generations.
    package func folder(of layer: Layer, generation: Int64?, topic: String) -> String {
        let layer = generation.map { "\(layer.rawValue)/generation=\($0)" } ?? layer.rawValue
        return "\(root)/\(layer)/topic=\(topic)"
    }

    /// The folder of a data file.
    package func folder(of name: DataFileName) -> String {
        "\(folder(of: name.layer, generation: name.generation, source: name.source))/\(name.hour.path)"
    }

    /// The data file, from its first line on: while it grows and when it is sealed.
    package func dataFile(_ name: DataFileName) -> String {
        folder(of: name) + "/" + stem(name) + Self.dataFileEnding
    }

    /// The growing file as formats 1 and 2 name it. Where there is one, ``dataFile(_:)`` is what an old seal left half done.
    package func formerOpenFile(_ name: DataFileName) -> String {
        folder(of: name) + "/" + stem(name) + ".open.jsonl.zst"
    }

    /// Where a sealed file is prepared; its name ends so that no reader's glob takes it. Once the seal is in the commit
    /// log, this is the sealed file, until it is renamed over the growing one.
    package func sealingFile(_ name: DataFileName) -> String {
        folder(of: name) + "/" + stem(name) + ".sealing"
    }

    /// What takes a sealed file's place once a `rewrite` in the commit log names its content, until it is renamed over that one. The
    /// name tells the content, so that no reader takes one for another that is only prepared.
    func rewrittenFile(_ name: DataFileName, contentSHA256: String) -> String {
        "\(folder(of: name))/\(stem(name)).\(contentSHA256.prefix(16)).erasing"
    }

    /// Where that is being written.
    func rewritingFile(_ name: DataFileName) -> String { folder(of: name) + "/" + stem(name) + ".erasing" }

    private static let dataFileEnding = ".jsonl.zst"

    /// The first offset of the file that a path or a key leads to; nil where it leads to no data file.
    static func firstOffset(ofFileAt path: String) -> Int64? {
        guard path.hasSuffix(dataFileEnding), let slash = path.lastIndex(of: "/") else { return nil }
        let digits = path[path.index(after: slash)...].dropLast(dataFileEnding.count)
        return digits.count == 20 ? Int64(digits) : nil
    }

    private func stem(_ name: DataFileName) -> String {
        var digits: [UInt8] = []
        Decimal.append(name.firstOffset, width: 20, to: &digits)
        return String(decoding: digits, as: UTF8.self)
    }
}
