import Bytes

extension Settings {
    /// How the lake is written, and where its sealed files may go.
    package struct Lake: Sendable {
        /// The longest time an event waits for its commit to the lake, in milliseconds.
        package internal(set) var commitIntervalMilliseconds = 0
        /// How far a broker time may lie ahead of the machine's clock and still move the lake's hour, in seconds.
        package internal(set) var clockAheadMaxSeconds = 0
        /// The bucket of tiered files; empty = none.
        package internal(set) var s3Bucket = ""
        /// Where the object storage is; empty = AWS.
        package internal(set) var s3Endpoint = ""
        /// The region that requests are signed for.
        package internal(set) var s3Region = ""
        /// Stands before every key.
        package internal(set) var s3Prefix = ""
        /// A secret: never print it.
        package internal(set) var s3AccessKeyID = ""
        /// A secret: never print it.
        package internal(set) var s3SecretAccessKey = ""
        /// The file that holds the secret; empty = given by the variable.
        package internal(set) var s3SecretAccessKeyFile = ""
    }
}

extension Settings.Lake: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "COMMIT_INTERVAL_MS", .storage, default: "100", .integer(1...60_000), \.lake.commitIntervalMilliseconds,
            "The longest time an event waits for its commit to the lake, in milliseconds."),
        Setting(
            "LAKE_CLOCK_AHEAD_MAX_SEC", .storage, default: "3600", .integer(1...31_536_000),
            \.lake.clockAheadMaxSeconds,
            "How far a record's broker time may lie ahead of the machine's clock, in seconds, and still move the lake's "
                + "hour. A record beyond is kept as any other, in the present hour, and counted."),
        Setting(
            "LAKE_S3_BUCKET", .storage, default: "", .text("bucket"), \.lake.s3Bucket,
            "The S3-compatible bucket that `medallion lake tier` moves sealed files to, and that everything reads them "
                + "from. Empty: none."),
        Setting(
            "LAKE_S3_ENDPOINT", .storage, default: "", .originURL, \.lake.s3Endpoint,
            "The object storage's address, asked in path style. Empty: AWS in `LAKE_S3_REGION`.", shown: Redaction.url),
        Setting(
            "LAKE_S3_REGION", .storage, default: "us-east-1", .text("region"), \.lake.s3Region,
            "The region that requests are signed for."),
        Setting(
            "LAKE_S3_PREFIX", .storage, default: "", .text("prefix"), \.lake.s3Prefix,
            "Stands before the files' paths in the bucket, so that several lakes may share one."),
        Setting(
            "LAKE_S3_ACCESS_KEY_ID", .storage, default: "", .text("access key"), \.lake.s3AccessKeyID,
            "The access key that signs requests. Never printed.", shown: Redaction.secret),
        Setting(
            "LAKE_S3_SECRET_ACCESS_KEY", .storage, default: "", .text("secret"), \.lake.s3SecretAccessKey,
            "The access key's secret. Never printed.", shown: Redaction.secret),
        Setting(
            "LAKE_S3_SECRET_ACCESS_KEY_FILE", .storage, default: "", .text("file"), \.lake.s3SecretAccessKeyFile,
            "A file that holds the secret, in place of `LAKE_S3_SECRET_ACCESS_KEY`."),
    ]
}
