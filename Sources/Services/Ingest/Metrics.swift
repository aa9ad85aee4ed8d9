import Telemetry

/// What every connector counts. Without labels for the one source that the environment describes, else by source.
struct ProducerMetrics: Sendable {
    let received: Counter
    let receivedBytes: Counter
    let produced: Counter
    let acknowledged: Counter
    let deliveryFailures: Counter
    let brokerFaults: Counter
    let refused: Counter
    let marked: Counter
    let withoutKey: Counter
    let queueFull: Counter
    let inFlight: Gauge
    let isPaused: Gauge
    let brokerClock: Gauge

    init(_ registry: MetricsRegistry, labels: [(String, String)]) {
        isPaused = registry.gauge(
            "medallion_producer_paused", help: "1 while an operator has the source stand still, else 0.", labels: labels
        )
        received = registry.counter(
            "medallion_producer_events_received_total", help: "Events that arrived complete from the source.",
            labels: labels)
        receivedBytes = registry.counter(
            "medallion_producer_received_bytes_total", help: "Bytes of the source's stream.",
            labels: labels)
        produced = registry.counter(
            "medallion_producer_events_produced_total", help: "Events handed to the Kafka client.",
            labels: labels)
        acknowledged = registry.counter(
            "medallion_producer_events_acknowledged_total", help: "Events that the broker has acknowledged.",
            labels: labels)
        deliveryFailures = registry.counter(
            "medallion_producer_delivery_failures_total", help: "Failed deliveries; each is retried.",
            labels: labels)
        brokerFaults = registry.counter(
            "medallion_producer_broker_faults_total", help: "Faults of brokers that concerned the client as a whole.",
            labels: labels)
        refused = registry.counter(
            "medallion_producer_events_refused_total",
            help: "Events left out because the broker refuses records of their size.",
            labels: labels)
        marked = registry.counter(
            "medallion_producer_events_marked_total",
            help: "Events sent with the mark that they may be repeats, after a start or a reconnect.",
            labels: labels)
        withoutKey = registry.counter(
            "medallion_producer_events_without_key_total", help: "Events without a readable wiki and title.",
            labels: labels)
        queueFull = registry.counter(
            "medallion_producer_queue_full_total", help: "Times that reading stopped because the local queue was full.",
            labels: labels)
        inFlight = registry.gauge(
            "medallion_producer_events_in_flight", help: "Events sent and not yet acknowledged up to there.",
            labels: labels)
        brokerClock = registry.gauge(
            "medallion_producer_broker_clock_seconds",
            help:
                "How far the broker's clock is ahead of this machine's at the least (negative: behind), by the time that it gave "
                + "to the last event it acknowledged; 0 while both can be right.",
            labels: labels)
    }
}

/// What a source brings, by its name.
struct SourceMetrics: Sendable {
    let events: Counter
    let refused: Counter
    let isReading: Gauge

    init(_ registry: MetricsRegistry, source: String) {
        let labels = [("source", source)]
        events = registry.counter(
            "medallion_source_events_total", help: "Events that a connector read, by source.", labels: labels)
        refused = registry.counter(
            "medallion_source_refusals_total",
            help: "Files and lines that a connector could not read and passed by, by source.", labels: labels)
        isReading = registry.gauge(
            "medallion_source_reading", help: "1 while the source can be read, else 0, by source.", labels: labels)
    }
}

/// What is counted of an event stream; see ``ProducerMetrics`` for its labels.
struct EventStreamMetrics: Sendable {
    let oversized: Counter
    let blank: Counter
    let sourceErrors: Counter
    let lag: Gauge
    let isConnected: Gauge
    private let reconnects: [ReconnectCause: Counter]

    init(_ registry: MetricsRegistry, labels: [(String, String)]) {
        oversized = registry.counter(
            "medallion_producer_events_oversized_total", help: "Events left out because they exceed the size limit.",
            labels: labels)
        blank = registry.counter(
            "medallion_producer_events_blank_total",
            help:
                "Events left out because their data is empty or blank, as some servers send to keep a connection alive.",
            labels: labels)
        sourceErrors = registry.counter(
            "medallion_producer_source_errors_total", help: "Events of type error that the source sent about itself.",
            labels: labels)
        lag = registry.gauge(
            "medallion_producer_lag_seconds", help: "Age of the last event when it arrived, by its meta.dt.",
            labels: labels)
        isConnected = registry.gauge(
            "medallion_producer_connected", help: "1 while the source's stream is open, else 0.",
            labels: labels)
        reconnects = Dictionary(
            uniqueKeysWithValues: ReconnectCause.allCases.map { cause in
                (
                    cause,
                    registry.counter(
                        "medallion_producer_reconnects_total", help: "Ended connections to the source, by cause.",
                        labels: [("cause", cause.rawValue)] + labels)
                )
            })
    }

    func countReconnect(_ cause: ReconnectCause) {
        reconnects[cause]?.increment()
    }
}
