/// How much of one kind the HTTP API does at once. Each lane is a thread with a connection to the index of its own.
package struct APILanes: Sendable {
    /// Searches without filters.
    package internal(set) var search = 0
    /// Searches with filters, and exact ones.
    package internal(set) var filtered = 0
    /// Lists of the newest events.
    package internal(set) var feed = 0
    /// Traces.
    package internal(set) var trace = 0
}

extension Settings {
    /// How much the HTTP API does at once.
    static let lanes: [Setting] = [
        Setting(
            "API_SEARCH_LANES", .api, default: "4", .integer(1...64), \.apiLanes.search,
            "Searches without filters at once, each on a connection to the index of its own. A request waits for one up "
                + "to 2 s, then gets 503."),
        Setting(
            "API_FILTERED_LANES", .api, default: "2", .integer(1...64), \.apiLanes.filtered,
            "The same for searches with filters, of which the narrow ones may take long: others never wait for them."),
        Setting(
            "API_FEED_LANES", .api, default: "2", .integer(1...64), \.apiLanes.feed,
            "The same for `/events/recent`."),
        Setting(
            "API_TRACE_LANES", .api, default: "2", .integer(1...64), \.apiLanes.trace,
            "The same for `/trace`, which may wait for the object storage."),
    ]
}
