import Bytes
import Dispatch
import EventLoop
import Files
import Glibc
import ServiceLifecycle
import Synchronization
package import Telemetry

/// The embedded broker: one node that speaks the Kafka protocol over TCP and keeps its records in log segments on disk.
///
/// Two threads: an event loop that decodes requests and sends answers (records go from the segment file to the socket
/// by sendfile), and a storage thread that alone writes and syncs. See docs/broker.md for the versions spoken, the
/// format on disk, and what an acknowledgement means.
package final class BrokerServer: Sendable {
    private let configuration: BrokerConfiguration
    private let metrics: BrokerMetrics
    private let logger: Logger
    private let disk: DiskCalls
    private let running = Mutex<Running?>(nil)

    private struct Running {
        let loop: EventLoop
        let listener: TCPListener
        let storage: StorageThread
        let network: BrokerLoop
        let networkBox: NetworkBox
    }

    /// Checks the configuration; nothing is opened before ``start()``.
    ///
    /// - Throws: ``BrokerError`` for values that no broker can run with.
    package convenience init(configuration: BrokerConfiguration, metrics: MetricsRegistry, logger: Logger) throws {
        try self.init(configuration: configuration, metrics: metrics, logger: logger, disk: .system)
    }

    /// - Parameter disk: how records reach the disk; tests make it fail.
    init(configuration: BrokerConfiguration, metrics: MetricsRegistry, logger: Logger, disk: DiskCalls) throws {
        guard (1...TopicCatalog.partitionsMax).contains(configuration.partitionsDefault),
            (1 << 14...1 << 30).contains(configuration.segmentBytesMax), !configuration.directory.isEmpty
        else {
            throw BrokerError(
                operation: "configure broker", subject: configuration.directory,
                reason: "partitions, segment size or folder out of range",
                hint: "1 to \(TopicCatalog.partitionsMax) topic partitions, segments of 16 KiB to 1 GiB")
        }
        self.configuration = configuration
        self.metrics = BrokerMetrics(metrics)
        self.logger = logger
        self.disk = disk
    }

    /// Writes and syncs of the log that have failed since the process started.
    package var diskFailures: Int { metrics.diskFailures.value }

    /// Recovers the logs, which reads each topic partition's last segment, then listens. Blocks until done.
    ///
    /// - Returns: the port.
    /// - Throws: ``BrokerError``, `FileError` or `EventLoopError` with what to do about it.
    package func start() throws -> UInt16 {
        guard running.withLock({ $0 == nil }) else {
            throw BrokerError(operation: "start broker", subject: configuration.directory, reason: "it runs already")
        }
        ProcessLimits.raiseOpenFiles()
        let started = SystemClock.monotonicNanoseconds()
        let tables = StorageTables()
        let state = try StorageState(configuration: configuration, tables: tables, logger: logger, disk: disk)
        let loop = try EventLoop(name: "broker")
        let networkBox = NetworkBox()
        let storage = StorageThread(durability: configuration.durability, metrics: metrics, logger: logger) {
            completions, grown in
            loop.execute { networkBox.value?.roundFinished(completions, grown) }
        }
        let core = BrokerCore(
            configuration: configuration, tables: tables, storage: storage, metrics: metrics, logger: logger)
        try loop.start()
        let network = BrokerLoop(loop: loop, core: core)
        networkBox.value = network
        do {
            try storage.start(state)
            let listener = try TCPListener(
                loop: loop, host: configuration.host, port: configuration.port,
                connectionsMax: configuration.connectionsMax
            ) { connection in network.accept(connection) }
            network.port = listener.port
            running.withLock {
                $0 = Running(
                    loop: loop, listener: listener, storage: storage, network: network, networkBox: networkBox)
            }
            scheduleRetention(loop, storage)
            metrics.topics.set(Double(tables.topics().count))
            metrics.watch(tables)
            report(started, port: listener.port, tables)
            return listener.port
        } catch {
            storage.stop()
            loop.stop()
            networkBox.value = nil
            throw error
        }
    }

    /// Stops taking connections, finishes what was begun, makes everything durable, and waits for both threads.
    package func stop() {
        let taken = running.withLock { running -> Running? in
            defer { running = nil }
            return running
        }
        guard let taken else { return }
        taken.listener.close()
        taken.storage.stop()
        // The last answers are queued on the loop by now; give them a moment to leave.
        let isEmpty = DispatchSemaphore(value: 0)
        taken.loop.execute { taken.network.finish { isEmpty.signal() } }
        _ = isEmpty.wait(timeout: .now() + .milliseconds(500))
        taken.loop.stop()
        taken.networkBox.value = nil
        logger.info("broker stopped")
    }

    private func scheduleRetention(_ loop: EventLoop, _ storage: StorageThread) {
        let logger = logger
        let milliseconds = configuration.retentionCheckMilliseconds
        loop.schedule(afterMilliseconds: milliseconds) { [weak self] in
            let isAccepted = storage.submit(
                .task { state in state.retain(now: SystemClock.epochMilliseconds(), logger: logger) })
            if isAccepted { self?.scheduleRetention(loop, storage) }
        }
    }

    private func report(_ started: Int64, port: UInt16, _ tables: StorageTables) {
        let topics = tables.topics()
        let bytes = topics.reduce(0) { sum, topic in
            topic.logs.reduce(sum) { $0 + $1.published.withLock { $0.byteCount } }
        }
        logger.info(
            "broker listening",
            [
                "address": "\(configuration.host):\(port)", "topics": "\(topics.count)", "log_bytes": "\(bytes)",
                "recovery_ms": "\((SystemClock.monotonicNanoseconds() - started) / 1_000_000)",
            ])
    }
}

/// Lets closures that are made before the network side refer to it.
private final class NetworkBox: Sendable {
    private let box = Mutex<BrokerLoop?>(nil)

    var value: BrokerLoop? {
        get { box.withLock { $0 } }
        set { box.withLock { $0 = newValue } }
    }
}
