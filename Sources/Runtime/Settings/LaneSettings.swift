extension Settings {
    /// How much of one kind the HTTP API does at once. Each lane is a thread with a connection to the index of its own.
    static let lanes: [Setting] = [
        Setting(
            "API_SEARCH_LANES", .api, default: "4", .integer(1...64), \.apiSearchLanes,
            "Searches without filters at once, each on a connection to the index of its own. A request waits for one up "
                + "to 2 s, then gets 503."),
        Setting(
            "API_FILTERED_LANES", .api, default: "2", .integer(1...64), \.apiFilteredLanes,
            "The same for searches with filters, of which the narrow ones may take long: others never wait for them."),
        Setting(
            "API_FEED_LANES", .api, default: "2", .integer(1...64), \.apiFeedLanes,
            "The same for `/events/recent`."),
        Setting(
            "API_TRACE_LANES", .api, default: "2", .integer(1...64), \.apiTraceLanes,
            "The same for `/trace`, which may wait for the object storage."),
    ]

    /// All lanes of the API together; each has a connection to the database.
    package var apiLanes: Int { apiSearchLanes + apiFilteredLanes + apiFeedLanes + apiTraceLanes }
}
