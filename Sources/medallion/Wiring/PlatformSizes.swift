import Lake
import Metering
import ServiceLifecycle

extension Platform {
    /// What grows by a role's work, and is measured in its process.
    enum Growing: Hashable {
        case broker, lake, index
    }

    /// Measures what grows in this process; for every role at least the room in `DATA_DIR`.
    ///
    /// Behind the database's services, since it may ask the embedded one.
    func sizeService(of growing: Set<Growing>) -> any Service {
        DeferredService(name: "sizes") { [self] in
            var folders = [(name: "data", path: settings.dataDirectory)]
            if growing.contains(.lake) { folders.append((name: "lake", path: settings.lakeDirectory)) }
            if growing.contains(.broker), isBrokerEmbedded {
                folders.append((name: "broker", path: settings.brokerDirectory))
            }
            if growing.contains(.index), isDatabaseEmbedded {
                folders.append((name: "postgres", path: settings.postgresDirectory))
            }
            return SizeMeter(
                lake: growing.contains(.lake) ? LakeLayout(root: settings.lakeDirectory) : nil,
                index: growing.contains(.index) ? try database("sizes") : nil, folders: folders,
                metrics: context.metrics, logger: context.logger.scoped("sizes"))
        }
    }
}
