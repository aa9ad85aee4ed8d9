import CHiredis
import Glibc

/// One connection to a Redis server, through hiredis without its own waiting: every call has a limit for all of its time and for the
/// bytes of its reply, whatever the server sends and how slowly. One thread's.
final class RedisConnection {
    private let context: UnsafeMutablePointer<redisContext>

    /// Opens it, and says who asks. Names are looked up without a limit, as the system does.
    init(_ address: RedisAddress, milliseconds: Int) throws(RedisError) {
        let made =
            address.port == 0
            ? redisConnectUnixNonBlock(address.host) : redisConnectNonBlock(address.host, Int32(address.port))
        guard let made else { throw RedisError(.unreachable, "connect", "no memory") }
        context = made
        // From here on all is there, so that what is thrown ends in `deinit`.
        guard made.pointee.err == 0 else { throw fault(.unreachable, "connect") }
        let deadline = Self.now() + Int64(milliseconds)
        try wait(POLLOUT, until: deadline, "connect")
        try greet(address, until: deadline)
    }

    deinit { redisFree(context) }

    private func greet(_ address: RedisAddress, until deadline: Int64) throws(RedisError) {
        if !address.password.isEmpty {
            let names = address.user.isEmpty ? [address.password] : [address.user, address.password]
            _ = try send((["AUTH"] + names).map { Array($0.utf8) }, bytesMax: 4_096, until: deadline, "AUTH")
        }
        if address.database > 0 {
            _ = try send(
                ["SELECT", "\(address.database)"].map { Array($0.utf8) }, bytesMax: 4_096, until: deadline, "SELECT")
        }
    }

    /// Sends a command and waits for its reply.
    ///
    /// - Returns: the bytes of a text, or a number's digits; nil where there are none.
    func send(_ parts: [[UInt8]], bytesMax: Int, milliseconds: Int, _ operation: String) throws(RedisError) -> [UInt8]?
    {
        try send(parts, bytesMax: bytesMax, until: Self.now() + Int64(milliseconds), operation)
    }

    /// Sends commands one behind the other, then waits for the reply of each.
    ///
    /// - Returns: as many replies; nil for one without a value.
    func send(
        _ commands: [[[UInt8]]], bytesMax: Int, milliseconds: Int, _ operation: String
    ) throws(RedisError) -> [[UInt8]?] {
        let deadline = Self.now() + Int64(milliseconds)
        for parts in commands { try append(parts, operation) }
        try write(until: deadline, operation)
        var (replies, refusal) = ([[UInt8]?](), RedisError?.none)
        for _ in commands {
            // The replies behind a refusal come all the same: they must not be taken for those of a later command.
            do throws(RedisError) { replies.append(try reply(bytesMax, until: deadline, operation)) } catch {
                guard error.kind == .refused else { throw error }
                refusal = error
            }
        }
        if let refusal { throw refusal }
        return replies
    }

    private func send(
        _ parts: [[UInt8]], bytesMax: Int, until deadline: Int64, _ operation: String
    ) throws(RedisError) -> [UInt8]? {
        try append(parts, operation)
        try write(until: deadline, operation)
        return try reply(bytesMax, until: deadline, operation)
    }

    private func append(_ parts: [[UInt8]], _ operation: String) throws(RedisError) {
        let lengths = parts.map(\.count)
        let joined: [CChar] = parts.flatMap { $0 }.map { CChar(bitPattern: $0) }
        let status = joined.withUnsafeBufferPointer { joined -> Int32 in
            guard let start = joined.baseAddress else { return REDIS_ERR }
            var place = 0
            var pointers: [UnsafePointer<CChar>?] = lengths.map { length in
                defer { place += length }
                return start + place
            }
            return redisAppendCommandArgv(context, Int32(parts.count), &pointers, lengths)
        }
        guard status == REDIS_OK else { throw fault(.unreachable, operation) }
    }

    private func write(until deadline: Int64, _ operation: String) throws(RedisError) {
        Self.blockPipeSignal()
        var isWritten: Int32 = 0
        while isWritten == 0 {
            guard redisBufferWrite(context, &isWritten) == REDIS_OK else { throw fault(.unreachable, operation) }
            if isWritten == 0 { try wait(POLLOUT, until: deadline, operation) }
        }
    }

    private func reply(_ bytesMax: Int, until deadline: Int64, _ operation: String) throws(RedisError) -> [UInt8]? {
        while true {
            var found: UnsafeMutableRawPointer?
            try refuseLists(operation)
            guard redisGetReplyFromReader(context, &found) == REDIS_OK else { throw fault(.badReply, operation) }
            if let found {
                defer { freeReplyObject(found) }
                return try text(of: found.assumingMemoryBound(to: redisReply.self), bytesMax, operation)
            }
            guard let reader = context.pointee.reader, reader.pointee.len <= bytesMax + 4_096 else {
                throw RedisError(.badReply, operation, "it is larger than \(bytesMax) bytes")
            }
            try wait(POLLIN, until: deadline, operation)
            guard redisBufferRead(context) == REDIS_OK else { throw fault(.unreachable, operation) }
        }
    }

    /// No command that is sent has a list for a reply, and for a list memory would be taken as its head says.
    private func refuseLists(_ operation: String) throws(RedisError) {
        guard let reader = context.pointee.reader?.pointee, reader.ridx < 0, reader.pos < reader.len,
            let first = reader.buf.map({ UInt8(bitPattern: $0[reader.pos]) })
        else { return }
        guard "+-:$".utf8.contains(first) else { throw RedisError(.badReply, operation, "it is no text") }
    }

    private func text(
        of reply: UnsafeMutablePointer<redisReply>, _ bytesMax: Int, _ operation: String
    ) throws(RedisError) -> [UInt8]? {
        let bytes = reply.pointee.str.map { text in
            UnsafeRawBufferPointer(start: text, count: min(reply.pointee.len, bytesMax + 1)).map { $0 }
        }
        switch reply.pointee.type {
        case REDIS_REPLY_ERROR:
            let text = String(decoding: bytes ?? [], as: UTF8.self)
            // A server or proxy may repeat what it was sent, the password among it: only the error's name is told on.
            let isSecret = operation == "AUTH"
            throw RedisError(.refused, operation, isSecret ? String(text.prefix { !$0.isWhitespace }) : text)
        case REDIS_REPLY_STRING:
            guard reply.pointee.len <= bytesMax else {
                throw RedisError(.badReply, operation, "it is larger than \(bytesMax) bytes")
            }
            return bytes
        case REDIS_REPLY_INTEGER: return Array("\(reply.pointee.integer)".utf8)
        case REDIS_REPLY_NIL, REDIS_REPLY_STATUS: return nil
        default: throw RedisError(.badReply, operation, "it is no text")
        }
    }

    private func wait(_ events: Int32, until deadline: Int64, _ operation: String) throws(RedisError) {
        while true {
            let left = deadline - Self.now()
            guard left > 0 else { throw RedisError(.timeout, operation, "") }
            var waited = pollfd(fd: context.pointee.fd, events: Int16(events), revents: 0)
            let count = poll(&waited, 1, Int32(clamping: left))
            if count > 0 { return }
            guard count == 0 || errno == EINTR else {
                throw RedisError(.unreachable, operation, String(cString: strerror(errno)))
            }
        }
    }

    private func fault(_ kind: RedisError.Kind, _ operation: String) -> RedisError {
        let detail = withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisError(kind, operation, detail)
    }

    /// hiredis writes in such a way that a server that has gone would end the process. On this thread it then ends the write alone.
    private static func blockPipeSignal() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Monotonic milliseconds.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
