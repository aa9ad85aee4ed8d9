import Files
import Records
import Telemetry

/// What administrators change after a topic's creation.
extension StorageState {
    /// Deletes a topic: when this returns it is gone for good. What cannot be removed from the disk now is removed at
    /// the next start, or before a topic of that name is made.
    mutating func deleteTopic(_ topic: Topic, logger: Logger) throws(FileError) {
        var smaller = catalog
        smaller.topics.removeAll { $0.id == topic.id }
        try replaceCatalog(with: smaller, logger)
        tables.remove(topic)
        for log in topic.logs { log.close() }
        for partition in topic.logs.indices {
            do throws(FileError) {
                let folder = configuration.directory + "/" + TopicCatalog.logFolder(topic.name, partition)
                let doomed = folder + TopicCatalog.deletedSuffix
                if Folder.exists(doomed) { try Folder.removeTree(doomed) }
                try Folder.rename(folder, to: doomed)
                try Folder.removeTree(doomed)
            } catch {
                logger.warning("cannot remove a deleted topic's records", ["error": "\(error)"])
            }
        }
        // A topic of the same name must not begin at places that groups had in this one.
        try forgetOffsets { _, topicPartition in topicPartition.topic == topic.name }
    }

    /// Forgets committed offsets for good.
    mutating func forgetOffsets(where isDoomed: (String, TopicPartition) -> Bool) throws(FileError) {
        var changes: [OffsetChange] = []
        for (group, offsets) in journal.table {
            for topicPartition in offsets.keys where isDoomed(group, topicPartition) {
                changes.append(OffsetChange(group: group, topicPartition: topicPartition, committed: nil))
            }
        }
        guard !changes.isEmpty else { return }
        try journal.commit(changes)
        tables.set(offsets: journal)
    }

    /// Adds topic partitions behind those that are there, `count` in all.
    mutating func addPartitions(to topic: Topic, count: Int, logger: Logger) throws {
        var topic = topic
        for partition in topic.logs.count..<count {
            topic.logs.append(try openNewLog(topic, partition))
        }
        try update(topic, logger)
    }

    /// Gives a topic other settings.
    mutating func alter(_ topic: Topic, _ configs: TopicConfigs, logger: Logger) throws(FileError) {
        var topic = topic
        topic.configs = configs
        topic.settings = configs.logSettings(defaults: configuration.logDefaults)
        try update(topic, logger)
    }

    private mutating func update(_ topic: Topic, _ logger: Logger) throws(FileError) {
        var changed = catalog
        for index in changed.topics.indices where changed.topics[index].id == topic.id {
            changed.topics[index].partitionCount = topic.logs.count
            changed.topics[index].configs = topic.configs
        }
        try replaceCatalog(with: changed, logger)
        tables.add(topic)
    }

    private func openNewLog(_ topic: Topic, _ partition: Int) throws -> PartitionLog {
        let folder = configuration.directory + "/" + TopicCatalog.logFolder(topic.name, partition)
        // The catalog does not know it, so only an interrupted attempt can have left it.
        if Folder.exists(folder) { try Folder.removeTree(folder) }
        let recovered = try LogRecovery.open(folder: folder, settings: topic.settings, disk: disk)
        return PartitionLog(
            topicPartition: TopicPartition(topic: topic.name, partition: Int32(partition)), folder: folder,
            recovered: recovered, disk: disk)
    }

    /// Removes what deleted topics left behind because the process ended meanwhile.
    static func removeDeleted(in folder: String, logger: Logger) throws(FileError) {
        for name in try Folder.list(folder) where name.hasSuffix(TopicCatalog.deletedSuffix) {
            do throws(FileError) {
                try Folder.removeTree(folder + "/" + name)
                logger.info("removed the records of a deleted topic", ["folder": name])
            } catch {
                logger.warning("cannot remove the records of a deleted topic", ["error": "\(error)"])
            }
        }
    }
}
