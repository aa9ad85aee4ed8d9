import Synchronization

/// Reads and writes values of a Redis server over one connection, which is opened when it is needed and again after a failure.
/// Blocking: for lanes.
package final class RedisClient: Sendable {
    private let address: RedisAddress
    private let connection = Mutex<RedisConnection?>(nil)

    /// Opens nothing yet.
    package init(_ address: RedisAddress) { self.address = address }

    /// The value of a key; nil where there is none.
    ///
    /// - Parameters:
    ///   - bytesMax: a larger value is an error.
    ///   - milliseconds: for all of it, connecting included.
    package func value(of key: [UInt8], bytesMax: Int, milliseconds: Int) throws(RedisError) -> [UInt8]? {
        try send([Array("GET".utf8), key], bytesMax: bytesMax, milliseconds, "GET")
    }

    /// Sets the value of a key.
    ///
    /// - Parameter keptMilliseconds: the server forgets it afterwards.
    package func set(
        _ value: [UInt8], of key: [UInt8], keptMilliseconds: Int, milliseconds: Int
    ) throws(RedisError) {
        let end = ["PX", "\(max(1, keptMilliseconds))"].map { Array($0.utf8) }
        _ = try send([Array("SET".utf8), key, value] + end, bytesMax: 4_096, milliseconds, "SET")
    }

    /// Removes the value of a key, where there is one.
    package func remove(_ key: [UInt8], milliseconds: Int) throws(RedisError) {
        _ = try send([Array("DEL".utf8), key], bytesMax: 4_096, milliseconds, "DEL")
    }

    /// Removes every value whose key begins so, in one step of the server.
    ///
    /// - Returns: how many.
    package func removeAll(prefix: String, milliseconds: Int) throws(RedisError) -> Int {
        let script = """
            local cursor, count = '0', 0
            repeat
                local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
                cursor = page[1]
                for _, key in ipairs(page[2]) do count = count + redis.call('UNLINK', key) end
            until cursor == '0'
            return tostring(count)
            """
        let parts = ["EVAL", script, "0", prefix].map { Array($0.utf8) }
        let reply = try send(parts, bytesMax: 4_096, milliseconds, "EVAL")
        return reply.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
    }

    /// Sends commands one behind the other and waits for the replies of all: one round trip for many.
    ///
    /// - Parameters:
    ///   - commands: whose replies are texts or numbers, and no lists.
    ///   - bytesMax: a larger reply is an error.
    /// - Returns: a reply for each command; nil for one without a value.
    package func send(
        _ commands: [[[UInt8]]], bytesMax: Int, milliseconds: Int, operation: String
    ) throws(RedisError) -> [[UInt8]?] {
        try open(milliseconds) { connection throws(RedisError) in
            try connection.send(commands, bytesMax: bytesMax, milliseconds: milliseconds, operation)
        }
    }

    private func send(
        _ parts: [[UInt8]], bytesMax: Int, _ milliseconds: Int, _ operation: String
    ) throws(RedisError) -> [UInt8]? {
        try open(milliseconds) { connection throws(RedisError) in
            try connection.send(parts, bytesMax: bytesMax, milliseconds: milliseconds, operation)
        }
    }

    private func open<Reply: Sendable>(
        _ milliseconds: Int, _ body: @Sendable (RedisConnection) throws(RedisError) -> Reply
    ) throws(RedisError) -> Reply {
        let result: Result<Reply, RedisError> = connection.withLock { connection in
            do throws(RedisError) {
                let open: RedisConnection
                if let known = connection {
                    open = known
                } else {
                    open = try RedisConnection(address, milliseconds: milliseconds)
                    connection = open
                }
                return .success(try body(open))
            } catch {
                // After a refusal the connection is as good as before; after all else nobody knows what comes next.
                if error.kind != .refused { connection = nil }
                return .failure(error)
            }
        }
        return try result.get()
    }
}
