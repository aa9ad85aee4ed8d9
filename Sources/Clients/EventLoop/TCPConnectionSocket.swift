import Glibc

/// What the kernel is told about a connection's socket.
extension TCPConnection {
    /// Sets the kernel's send buffer (SO_SNDBUF), in bytes. A small one slows the stream down to what fits into it per
    /// delayed acknowledgement (2 MB/s at 32 kB); see ``setUnsentBytesMax(_:)`` for a bound without that.
    package func setSendBuffer(bytes: Int) {
        loop.assertInLoop()
        guard !isClosed else { return }
        setSocketOption(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(clamping: bytes))
    }

    /// How much the kernel takes beyond what it has sent already (TCP_NOTSENT_LOWAT), in bytes. Without it up to 4 MB
    /// of a slow reader's lag hide in the kernel, where no bound of ours sees them.
    package func setUnsentBytesMax(_ bytes: Int) {
        loop.assertInLoop()
        guard !isClosed else { return }
        setSocketOption(descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, Int32(clamping: bytes))
    }
}
