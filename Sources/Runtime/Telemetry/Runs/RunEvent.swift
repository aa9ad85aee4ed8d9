/// What a job did with which data, in the terms of OpenLineage (https://openlineage.io/docs/spec/object-model): a run of a job, with
/// the datasets that it read and wrote.
package struct RunEvent: Sendable, Equatable {
    /// Where the run stands.
    package enum State: String, Sendable {
        /// It began.
        case start = "START"
        /// It is still running: what it did since the event before.
        case running = "RUNNING"
        /// It ended as it should.
        case complete = "COMPLETE"
        /// Somebody ended it before it was done.
        case abort = "ABORT"
        /// It ended by an error.
        case fail = "FAIL"
    }

    /// Whether the job has an end of its own.
    package enum Processing: String, Sendable {
        /// It runs until it is stopped.
        case streaming = "STREAMING"
        /// It ends when its work is done.
        case batch = "BATCH"
    }

    /// A job, the same in each of its runs.
    package struct Job: Sendable, Equatable {
        /// Within the namespace of this platform, such as `stream.wikimedia`.
        package var name: String
        package var processing: Processing

        package init(name: String, processing: Processing) {
            self.name = name
            self.processing = processing
        }
    }

    /// Where the run stands.
    package var state: State
    /// Milliseconds since 1970.
    package var timeMilliseconds: Int64
    /// Of the run, a UUID (RFC 9562).
    package var runID: String
    package var job: Job
    package var inputs: [RunDataset]
    package var outputs: [RunDataset]
    /// Of a run that failed.
    package var error: String?

    package init(
        state: State, timeMilliseconds: Int64, runID: String, job: Job, inputs: [RunDataset] = [],
        outputs: [RunDataset] = [], error: String? = nil
    ) {
        self.state = state
        self.timeMilliseconds = timeMilliseconds
        self.runID = runID
        self.job = job
        self.inputs = inputs
        self.outputs = outputs
        self.error = error
    }
}

/// Data that a run read or wrote, and which part of it.
package struct RunDataset: Sendable, Equatable {
    /// What it is. How it is called follows from where the platform keeps such data.
    package enum Place: Sendable, Hashable {
        /// A topic of the broker.
        case topic(String)
        /// A folder of this machine, by its absolute path.
        case folder(String)
        /// Objects of a bucket whose keys begin so.
        case objects(bucket: String, prefix: String)
    }

    /// Offsets of a topic partition, the end excluded.
    package struct Offsets: Sendable, Equatable {
        package var topic: String
        package var partition: Int32
        package var start: Int64
        package var end: Int64

        package init(topic: String, partition: Int32, start: Int64, end: Int64) {
            self.topic = topic
            self.partition = partition
            self.start = start
            self.end = end
        }
    }

    package var place: Place
    /// The offsets whose records, or what was made of them, are meant; ascending by topic partition.
    package var offsets: [Offsets]
    /// Rows written; nil where nothing counts them.
    package var rows: Int?
    /// Bytes written, as they are stored; nil where nothing counts them.
    package var bytes: Int?

    package init(_ place: Place, offsets: [Offsets] = [], rows: Int? = nil, bytes: Int? = nil) {
        self.place = place
        self.offsets = offsets
        self.rows = rows
        self.bytes = bytes
    }
}

/// Takes what runs tell, and never makes them wait.
package protocol RunEventSink: Sendable {
    /// Takes an event. May be called on any thread.
    func send(_ event: RunEvent)
}
