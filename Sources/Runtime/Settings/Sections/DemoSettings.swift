extension Settings {
    /// What `medallion demo` does.
    package struct Demo: Sendable {
        /// Seconds after which `medallion demo` checks itself and ends; 0 = runs on.
        package internal(set) var seconds = 0
        /// The recording that `medallion demo` plays; empty = the live stream or the generator.
        package internal(set) var recording = ""
    }
}

extension Settings.Demo: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "DEMO_SECONDS", .demo, default: "0", .integer(0...86_400), \.demo.seconds,
            "After so many seconds `medallion demo` runs a search, an answer and a trace, and ends; its exit code is "
                + "0 only if all three succeeded. 0: runs until it is stopped."),
        Setting(
            "RECORDING", .demo, default: "", .text("file (`.sse` or `.jsonl`, either with `.zst`)"), \.demo.recording,
            "The recording that `medallion demo` plays. Empty: the live stream if it answers, else generated events."),
    ]
}
