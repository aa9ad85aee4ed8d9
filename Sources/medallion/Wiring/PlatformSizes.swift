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
            var folders = [(name: "data", path: settings.folders.data)]
            if growing.contains(.lake) { folders.append((name: "lake", path: settings.folders.lake)) }
            if growing.contains(.broker), isBrokerEmbedded {
                folders.append((name: "broker", path: settings.folders.broker))
            }
            if growing.contains(.index), isDatabaseEmbedded {
                folders.append((name: "postgres", path: settings.folders.postgres))
            }
            return SizeMeter(
                lake: growing.contains(.lake) ? LakeLayout(root: settings.folders.lake) : nil,
                index: growing.contains(.index) ? try database("sizes") : nil, folders: folders,
                metrics: context.metrics, logger: context.logger.scoped("sizes"))
        }
    }
}
