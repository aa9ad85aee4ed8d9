import COpenSSL
import Glibc
import Synchronization

/// Certificate and private key of a server, for TLS 1.2 and 1.3 by OpenSSL 3.
package final class TLSContext: Sendable {
    private let certificatePath: String
    private let keyPath: String
    private let current: Mutex<LoadedContext>

    /// Reads both files (PEM). Blocks for a moment.
    ///
    /// - Parameters:
    ///   - certificatePath: the server's certificate, then those of the authorities in between.
    ///   - keyPath: its private key, without a password.
    /// - Throws: naming the file where one is missing, is not PEM, or does not fit the other.
    package init(certificatePath: String, keyPath: String) throws(EventLoopError) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        current = Mutex(try Self.load(certificatePath, keyPath))
    }

    /// Reads the files again, for a certificate that was renewed; open connections keep the old one.
    ///
    /// - Throws: as the initialiser; the old certificate stays in use then.
    package func reload() throws(EventLoopError) {
        let fresh = try Self.load(certificatePath, keyPath)
        current.withLock { $0 = fresh }
    }

    /// When the server's own certificate ends, in seconds since 1970; nil where it does not say so in a way that can be read.
    package var endSeconds: Int? {
        current.withLock { current in
            guard let certificate = SSL_CTX_get0_certificate(current.pointer),
                let end = X509_get0_notAfter(certificate)
            else { return nil }
            var moment = tm()
            // Certificates tell times in UTC.
            return ASN1_TIME_to_tm(end, &moment) == 1 ? timegm(&moment) : nil
        }
    }

    private static func load(_ certificatePath: String, _ keyPath: String) throws(EventLoopError) -> LoadedContext {
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSError.last("SSL_CTX_new", certificatePath, hint: "")
        }
        let loaded = LoadedContext(context)
        medallion_ssl_prepare(context)
        medallion_ssl_refuse_passwords(context)
        guard SSL_CTX_use_certificate_chain_file(context, certificatePath) == 1 else {
            throw TLSError.last("read the certificate", certificatePath, hint: "a PEM file that this process may read")
        }
        guard SSL_CTX_use_PrivateKey_file(context, keyPath, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(context) == 1
        else {
            throw TLSError.last(
                "read the private key", keyPath, hint: "a PEM file without a password, of the key in the certificate")
        }
        return loaded
    }

    /// The server's side of one connection over `descriptor`, which stays the caller's; nil without memory.
    func session(over descriptor: Int32) -> TLSSession? {
        // Under the lock, which keeps the context alive until the session counts as one of its references.
        guard let session = current.withLock({ SSL_new($0.pointer) }) else { return nil }
        guard SSL_set_fd(session, descriptor) == 1 else {
            SSL_free(session)
            return nil
        }
        SSL_set_accept_state(session)
        return TLSSession(session)
    }
}

/// An `SSL_CTX` that is not changed any more.
///
/// `@unchecked Sendable`, because the pointer is a constant that is used only under the lock of the one ``TLSContext`` that
/// holds it, and OpenSSL counts the references of connections itself (openssl-threads(7)).
private final class LoadedContext: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        SSL_CTX_free(pointer)
    }
}

enum TLSError {
    /// What OpenSSL noted last on this thread.
    static func last(_ operation: String, _ subject: String, hint: String) -> EventLoopError {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        ERR_clear_error()
        let words = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return EventLoopError(operation: operation, subject: subject, hint: hint.isEmpty ? words : "\(words); \(hint)")
    }
}

/// The TLS layer of one connection. Confined like its connection; the handshake happens inside the first reads.
final class TLSSession {
    enum Outcome {
        case bytes(Int)
        /// The socket has nothing, or takes nothing, just now.
        case blocked
        /// Nothing moves before the socket can be written to, though bytes were asked for.
        case wantsWrite
        /// The peer ended its side in order.
        case ended
        case failed(Int32)
    }

    private let session: OpaquePointer

    init(_ session: OpaquePointer) {
        self.session = session
    }

    deinit {
        SSL_free(session)
    }

    /// Decrypted bytes. A space of 16 KiB or more takes a whole record, so that none stays behind where the event loop
    /// does not see it.
    func read(into space: UnsafeMutableRawBufferPointer) -> Outcome {
        var count = 0
        prepare()
        let result = SSL_read_ex(session, space.baseAddress, space.count, &count)
        return outcome(result, count)
    }

    /// Encrypts and sends a first part of `bytes`, a record of 16 KiB at most.
    func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        var count = 0
        prepare()
        let result = SSL_write_ex(session, bytes.baseAddress, bytes.count, &count)
        return outcome(result, count)
    }

    /// Tells the peer that nothing more comes, if the socket takes that at once.
    func sendEnd() {
        prepare()
        SSL_shutdown(session)
    }

    /// What a call before this one left would be taken for its outcome (SSL_get_error(3)).
    private func prepare() {
        ERR_clear_error()
        errno = 0
    }

    private func outcome(_ result: Int32, _ count: Int) -> Outcome {
        if result == 1 { return .bytes(count) }
        switch SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ: return .blocked
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .ended
        case SSL_ERROR_SYSCALL: return errno == 0 ? .ended : .failed(errno)
        default: return .failed(EPROTO)
        }
    }
}
