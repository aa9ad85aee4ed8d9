import API
import Console
import Files
import Redis
import Settings
import Telemetry

/// The cache that servers share.
enum SharedCaches {
    private static let passwordBytesMax = 4_096

    /// Nil where none is named.
    ///
    /// - Throws: ``Failure`` where the settings cannot be used.
    static func named(by settings: Settings, metrics: MetricsRegistry, logger: Logger) throws -> SecondCache? {
        guard let address = try address(settings) else { return nil }
        return SecondCache(
            address, milliseconds: settings.caches.redisTimeoutMilliseconds, registry: metrics, logger: logger)
    }

    /// Removes all that servers share. Blocks.
    ///
    /// - Returns: how many replies; nil where no server is named.
    /// - Throws: ``Failure`` where the settings cannot be used; `RedisError`.
    static func forgetAll(by settings: Settings) throws -> Int? {
        guard let address = try address(settings) else { return nil }
        return try RedisClient(address).removeAll(prefix: SecondCache.prefix, milliseconds: forgetMilliseconds)
    }

    private static let forgetMilliseconds = 30_000

    private static func address(_ settings: Settings) throws -> RedisAddress? {
        let caches = settings.caches
        guard !caches.redisURL.isEmpty, caches.bytes > 0 else { return nil }
        guard var address = RedisAddress(caches.redisURL.revealed) else {
            throw Failure("REDIS_URL: \(caches.redisURL) is no address of a Redis server", code: .usage)
        }
        if !caches.redisPasswordFile.isEmpty {
            guard address.password.isEmpty else {
                throw Failure(
                    "REDIS_URL has a password, and REDIS_PASSWORD_FILE is set: unset one of them", code: .usage)
            }
            let bytes: [UInt8]
            do throws(FileError) {
                bytes = try File.contents(of: caches.redisPasswordFile, bytesMax: passwordBytesMax)
            } catch {
                throw Failure("REDIS_PASSWORD_FILE: \(error)", code: .usage)
            }
            guard let word = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first else {
                throw Failure("REDIS_PASSWORD_FILE: \(caches.redisPasswordFile) is empty", code: .usage)
            }
            address.password = String(word)
        }
        return address
    }
}
