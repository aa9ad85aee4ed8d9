import Telemetry

/// How datasets and jobs are called in OpenLineage (https://openlineage.io/docs/spec/naming).
package struct LineageNames: Sendable {
    /// Of jobs.
    package var jobNamespace: String
    /// The first bootstrap server, with its port.
    package var broker: String

    package init(jobNamespace: String, broker: String) {
        self.jobNamespace = jobNamespace
        self.broker = broker
    }

    /// Namespace and name.
    func name(of place: RunDataset.Place) -> (namespace: String, name: String) {
        switch place {
        case .topic(let topic): ("kafka://\(broker)", topic)
        case .folder(let path): ("file", path)
        case .objects(let bucket, let prefix): ("s3://\(bucket)", prefix.isEmpty ? "/" : prefix)
        }
    }
}
