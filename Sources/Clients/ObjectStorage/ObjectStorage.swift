import Bytes
import HTTPClient

/// How an S3-compatible storage is reached.
package struct ObjectStorageConfiguration: Sendable {
    /// `http` or `https`, without a path; the bucket is the first part of the path (path style), which AWS, MinIO, Ceph
    /// and the like understand.
    package var endpoint: String
    package var bucket: String
    package var region: String
    package var accessKeyID: String
    package var secretAccessKey: String
    /// How long one attempt may take besides its bytes, which get a second per 64 KiB, in milliseconds.
    package var timeoutMilliseconds = 30_000
    /// How long an attempt may go without a byte, in seconds.
    package var stallSecondsMax = 20
    /// How often a request is sent before it is given up.
    package var attemptsMax = 6
    /// The first wait between two attempts, in milliseconds; it doubles up to ``backoffMillisecondsMax``, with jitter.
    package var backoffMilliseconds = 200
    package var backoffMillisecondsMax = 10_000
    /// Objects on one page of a listing; the protocol's maximum unless set.
    package var pageObjectsMax = 1_000

    package init(
        endpoint: String, bucket: String, region: String, accessKeyID: String, secretAccessKey: String
    ) {
        var endpoint = endpoint[...]
        while endpoint.last == "/" { endpoint = endpoint.dropLast() }
        self.endpoint = String(endpoint)
        self.bucket = bucket
        self.region = region
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
    }
}

/// What is known of one object.
package struct ObjectSummary: Sendable, Equatable {
    package let key: String
    package let bytes: Int

    package init(key: String, bytes: Int) {
        self.key = key
        self.bytes = bytes
    }
}

/// One version of an object.
package struct ObjectVersion: Sendable, Equatable {
    /// `null` for one from before the bucket had versions, or without them.
    package let id: String
    /// Whether it is what a request without a version gets.
    package let isLatest: Bool
    /// Whether it says that the object was deleted.
    package let isDeletion: Bool
}

/// Objects of one bucket of an S3-compatible storage ("Amazon S3 API Reference", 2006-03-01), over ``HTTPClient``.
///
/// Synchronous: call it from a thread of your own. Any number of threads may share one. Requests are sent again, with
/// back-off, after errors of the server, cut connections and run out times; every call ends within
/// `attemptsMax` times its limits.
package final class ObjectStorage: Sendable {
    package let configuration: ObjectStorageConfiguration
    private let client: HTTPClient

    private static let bytesPerSecondMin = 65_536
    /// Room for an error's body where fewer bytes were asked for.
    private static let errorBytesMax = 65_536
    /// SHA-256 of nothing, for requests without a body.
    private static let emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    package init(_ configuration: ObjectStorageConfiguration) {
        self.configuration = configuration
        client = HTTPClient()
    }

    /// Stores a file's bytes under `key`, replacing what may be there.
    ///
    /// The hash goes along twice, signed as the body's (`x-amz-content-sha256`) and as a checksum that the storage keeps
    /// (`x-amz-checksum-sha256`); a storage that looks at either refuses other bytes.
    /// - Parameters:
    ///   - descriptor: a file open for reading.
    ///   - sha256: of the file's bytes, 32 bytes.
    ///   - contentType: what the storage says of them.
    package func put(
        _ key: String, descriptor: Int32, bytes: Int, sha256: [UInt8], contentType: String = "application/zstd"
    ) throws(ObjectStorageError) {
        var request = request("PUT", key, bodySHA256: Hex.string(sha256))
        request.headers.append(("x-amz-checksum-sha256", Base64.string(sha256)))
        request.headers.append(("Content-Type", contentType))
        request.upload = HTTPClientUpload(descriptor: descriptor, bytes: bytes)
        _ = try send(request, "put", key, bytes: bytes)
    }

    /// Bytes of an object from `start` on.
    ///
    /// - Parameter untilNanoseconds: of the monotonic clock: attempts and the waits between them end by then; nil for the
    ///   configuration's limits alone.
    /// - Throws: ``ObjectStorageError``, of kind `mismatch` where the object is shorter.
    package func get(
        _ key: String, start: Int, count: Int, untilNanoseconds: Int64? = nil
    ) throws(ObjectStorageError) -> [UInt8] {
        guard count > 0 else { return [] }
        var request = request("GET", key)
        request.headers.append(("Range", "bytes=\(start)-\(start + count - 1)"))
        request.bodyBytesMax = max(count, Self.errorBytesMax)
        let reply = try send(request, "get", key, bytes: count, untilNanoseconds: untilNanoseconds)
        guard reply.status == 206 || start == 0, reply.body.count == count else {
            throw failure(
                .mismatch, "get", key, status: reply.status,
                reason: "\(reply.body.count) bytes came for bytes \(start)..<\(start + count)" + Self.packed(reply))
        }
        return reply.body
    }

    /// Size of an object; nil where there is none.
    ///
    /// - Parameter untilNanoseconds: see ``get(_:start:count:untilNanoseconds:)``.
    package func head(_ key: String, untilNanoseconds: Int64? = nil) throws(ObjectStorageError) -> ObjectSummary? {
        do throws(ObjectStorageError) {
            let reply = try send(request("HEAD", key), "head", key, bytes: 0, untilNanoseconds: untilNanoseconds)
            guard let bytes = reply.headers["Content-Length"].flatMap({ Int($0) }) else {
                throw failure(.refused, "head", key, status: reply.status, reason: "the reply tells no length")
            }
            return ObjectSummary(key: key, bytes: bytes)
        } catch {
            if error.kind == .notFound { return nil }
            throw error
        }
    }

    /// Removes an object; one that is not there is fine.
    package func delete(_ key: String) throws(ObjectStorageError) {
        do throws(ObjectStorageError) {
            _ = try send(request("DELETE", key), "delete", key, bytes: 0)
        } catch {
            guard error.kind == .notFound, error.code != "NoSuchBucket" else { throw error }
        }
    }

    /// Removes one version of an object for good; one that is not there is fine.
    ///
    /// - Parameter version: as ``versions(of:)`` names it.
    package func delete(_ key: String, version: String) throws(ObjectStorageError) {
        do throws(ObjectStorageError) {
            _ = try send(request("DELETE", key, query: [("versionId", version)]), "delete", key, bytes: 0)
        } catch {
            guard error.kind == .notFound, error.code != "NoSuchBucket" else { throw error }
        }
    }

    /// Every version of an object, marks of its deletion among them, as `ListObjectVersions` has them. In a bucket without versions an
    /// object has one.
    package func versions(of key: String) throws(ObjectStorageError) -> [ObjectVersion] {
        var versions: [ObjectVersion] = []
        var marker: (key: String, version: String)?
        while true {
            // Sorted by name, as the signature wants them.
            var query: [(String, String)] = [("encoding-type", "url")]
            if let marker { query.append(("key-marker", marker.key)) }
            query += [("max-keys", "\(configuration.pageObjectsMax)"), ("prefix", key)]
            if let marker { query.append(("version-id-marker", marker.version)) }
            query.append(("versions", ""))
            let reply = try send(request("GET", "", query: query), "list versions", key, bytes: 0)
            guard let page = VersionPage(reply.body) else {
                throw failure(
                    .refused, "list versions", key, status: reply.status,
                    reason: "the reply is no listing of versions" + Self.packed(reply))
            }
            versions += page.versions.filter { $0.key == key }.map(\.version)
            guard let next = page.next, next.key == key else { return versions }
            guard marker.map({ $0 != next }) ?? true else {
                throw failure(
                    .refused, "list versions", key, status: reply.status, reason: "the listing goes in a circle")
            }
            marker = next
        }
    }

    /// Calls `body` with every object whose key begins with `prefix`, in the order of keys, page by page, until it
    /// returns false.
    ///
    /// - Parameter untilNanoseconds: see ``get(_:start:count:untilNanoseconds:)``.
    package func forEach(
        prefix: String, untilNanoseconds: Int64? = nil, _ body: (ObjectSummary) -> Bool
    ) throws(ObjectStorageError) {
        var token: String?
        while true {
            // Sorted by name, as the signature wants them.
            var query: [(String, String)] = []
            if let token { query.append(("continuation-token", token)) }
            query += [
                ("encoding-type", "url"), ("list-type", "2"), ("max-keys", "\(configuration.pageObjectsMax)"),
                ("prefix", prefix),
            ]
            let reply = try send(
                request("GET", "", query: query), "list", "", bytes: 0, untilNanoseconds: untilNanoseconds)
            guard let page = ListPage(reply.body) else {
                throw failure(
                    .refused, "list", prefix, status: reply.status,
                    reason: "the reply is no listing" + Self.packed(reply))
            }
            for object in page.objects where !body(object) { return }
            guard let next = page.nextToken else { return }
            guard next != token else {
                throw failure(.refused, "list", prefix, status: reply.status, reason: "the listing goes in a circle")
            }
            token = next
        }
    }

    /// For errors: that something packed the reply on its way, where it did.
    private static func packed(_ reply: HTTPClientResponse) -> String {
        let encodings = reply.headers.contentEncodings.joined(separator: ", ")
        return encodings.isEmpty
            ? "" : "; it came with Content-Encoding: \(encodings), so let no proxy compress what the storage sends"
    }

    // MARK: - Requests

    private func request(
        _ method: String, _ key: String, query: [(String, String)] = [], bodySHA256: String? = nil
    ) -> HTTPClientRequest {
        var url = "\(configuration.endpoint)/\(URLText.encoded(configuration.bucket))"
        // Every slash of a key stands for itself, also in the signature.
        if !key.isEmpty { url += "/" + URLText.encoded(key, keepsSlash: true) }
        if !query.isEmpty {
            url += "?" + query.map { "\($0.0)=\(URLText.encoded($0.1))" }.joined(separator: "&")
        }
        var request = HTTPClientRequest(method: method, url: url)
        request.contentCoding = .asStored
        request.headers = [("x-amz-content-sha256", bodySHA256 ?? Self.emptySHA256)]
        request.signature = HTTPClientSignature(
            region: configuration.region, service: "s3", accessKeyID: configuration.accessKeyID,
            secretAccessKey: configuration.secretAccessKey)
        request.stallSecondsMax = configuration.stallSecondsMax
        return request
    }

    /// Sends a request until a 2xx comes, attempts run out, or another try would bring the same.
    private func send(
        _ request: HTTPClientRequest, _ operation: String, _ key: String, bytes: Int, untilNanoseconds: Int64? = nil
    ) throws(ObjectStorageError) -> HTTPClientResponse {
        let timeout = configuration.timeoutMilliseconds + bytes / Self.bytesPerSecondMin * 1_000
        /// Milliseconds until the caller gives up.
        func left() -> Int {
            guard let untilNanoseconds else { return .max }
            return Int(max(0, untilNanoseconds - SystemClock.monotonicNanoseconds()) / 1_000_000)
        }
        var wait = configuration.backoffMilliseconds
        var attempt = 0
        while true {
            attempt += 1
            let failure: ObjectStorageError
            let limit = min(timeout, left())
            guard limit > 0 else {
                throw ObjectStorageError(
                    kind: .unavailable, operation: operation, bucket: configuration.bucket, key: key, status: nil,
                    code: "", reason: "no time was left for it", attempts: attempt - 1)
            }
            do throws(HTTPClientError) {
                let reply = try client.request(request, timeoutMilliseconds: limit)
                if (200..<300).contains(reply.status) { return reply }
                failure = refusal(reply, operation, key, attempt: attempt)
            } catch {
                failure = ObjectStorageError(
                    kind: error.isRetriable ? .unavailable : .refused, operation: operation,
                    bucket: configuration.bucket, key: key, status: nil, code: "", reason: "\(error)",
                    attempts: attempt)
            }
            guard failure.isRetriable, attempt < configuration.attemptsMax else { throw failure }
            let pause = Int.random(in: (wait / 2)...max(1, wait))
            guard pause < left() else { throw failure }
            Pause.milliseconds(pause)
            wait = min(wait * 2, configuration.backoffMillisecondsMax)
        }
    }

    private func refusal(
        _ reply: HTTPClientResponse, _ operation: String, _ key: String, attempt: Int
    ) -> ObjectStorageError {
        let code = ErrorReply.code(reply.body)
        let kind: ObjectStorageError.Kind =
            switch reply.status {
            case 404: .notFound
            case 401, 403: .denied
            case 408, 429, 500...: .unavailable
            default: ["RequestTimeout", "SlowDown", "OperationAborted"].contains(code) ? .unavailable : .refused
            }
        return ObjectStorageError(
            kind: kind, operation: operation, bucket: configuration.bucket, key: key, status: reply.status, code: code,
            reason: ErrorReply.message(reply.body), attempts: attempt)
    }

    private func failure(
        _ kind: ObjectStorageError.Kind, _ operation: String, _ key: String, status: Int?, reason: String
    ) -> ObjectStorageError {
        ObjectStorageError(
            kind: kind, operation: operation, bucket: configuration.bucket, key: key, status: status, code: "",
            reason: reason, attempts: 1)
    }
}
