extension Settings {
    /// How much of one kind the HTTP API does at once. Each lane is a thread with a connection to the index of its own.
    package struct Lanes: Sendable {
        /// Searches without filters that the API does at once.
        package internal(set) var search = 0
        /// Searches with filters, and exact ones, that it does at once.
        package internal(set) var filtered = 0
        /// Lists of the newest events that it makes at once.
        package internal(set) var feed = 0
        /// Traces that it makes at once.
        package internal(set) var trace = 0
        /// Answers that it makes at once, on the connections of searches.
        package internal(set) var answer = 0

        /// All lanes of the API together; each has a connection to the database. Traces that go far have as many of their own.
        package var total: Int { search + filtered + feed + 2 * trace }
    }
}

extension Settings.Lanes: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "API_SEARCH_LANES", .api, default: "4", .integer(1...64), \.lanes.search,
            "Searches without filters at once, each on a connection to the index of its own. A request waits for one up "
                + "to 2 s, then gets 503."),
        Setting(
            "API_FILTERED_LANES", .api, default: "2", .integer(1...64), \.lanes.filtered,
            "The same for searches with filters, of which the narrow ones may take long: others never wait for them."),
        Setting(
            "API_FEED_LANES", .api, default: "2", .integer(1...64), \.lanes.feed,
            "The same for `/events/recent`."),
        Setting(
            "API_TRACE_LANES", .api, default: "2", .integer(1...64), \.lanes.trace,
            "The same for `/trace` and `/impact`; as many more wait for the object storage and the broker, where a trace needs them."
        ),
        Setting(
            "API_ANSWER_LANES", .api, default: "2", .integer(1...64), \.lanes.answer,
            "Answers made at once, on the connections of searches; a request waits up to 2 s, then gets 503. At most one "
                + "less than `API_SEARCH_LANES`, whatever is set: a search is to find a connection."),
    ]
}
