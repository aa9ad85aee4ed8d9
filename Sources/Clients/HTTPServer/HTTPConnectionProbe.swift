import EventLoop

extension HTTPConnection {
    /// Answers are mostly quicker, and nobody is asked then.
    private static let probeMilliseconds = 200

    /// Finds out whether a client that sends nothing more has left, while its answer is being made.
    ///
    /// It gets an interim reply (100), which every client of HTTP/1.1 must skip (RFC 9110, 15.2). The system of one that
    /// closed its socket answers with a reset, which ends the connection and cancels the handler; for one that only shut its
    /// sending side nothing changes. HTTP/1.0 has no interim replies: such a client's handler runs to its end.
    func probe() {
        guard minorVersion == 1 else { return }
        let (loop, number) = (context.loop, exchange)
        Task {
            try? await Task.sleep(for: .milliseconds(Self.probeMilliseconds))
            loop.execute { self.sendProbe(number) }
        }
    }

    private func sendProbe(_ number: Int) {
        context.loop.assertInLoop()
        let isUnanswered = state == .handling || (state == .streaming && streamStatus == nil)
        guard number == exchange, isUnanswered else { return }
        tcp.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    }
}
