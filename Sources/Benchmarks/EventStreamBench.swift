import Bytes
import Concurrency
import Glibc
import Ingest
import Simulator

/// The producer's parser of server-sent events, over bytes in memory. The baseline only looks for line feeds.
struct EventStreamBench {
    let source: any PlayableSource
    let events: Int

    /// As libcurl hands them over.
    private static let pieceBytes = 16_384

    func run() async throws -> BenchReport {
        try await Lane(name: "bench").run { measure() }
    }

    private func measure() -> BenchReport {
        var stream: [UInt8] = Array(":ok\n\n".utf8)
        for index in 0..<events {
            stream.append(contentsOf: "event: message\nid: [{\"topic\":\"eqiad\",\"offset\":\(index)}]\ndata: ".utf8)
            source.appendPayload(index, to: &stream)
            stream.append(contentsOf: "\n\n".utf8)
        }
        var bestParse = Double.infinity
        var bestScan = Double.infinity
        var seen = 0
        var bytes = 0
        for _ in 0..<5 {
            let began = SystemClock.monotonicNanoseconds()
            (seen, bytes) = parse(stream)
            bestParse = min(bestParse, Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
            let scanned = SystemClock.monotonicNanoseconds()
            _ = scan(stream)
            bestScan = min(bestScan, Double(SystemClock.monotonicNanoseconds() - scanned) / 1e9)
        }
        let megabytes = Double(stream.count) / 1e6
        return BenchReport(
            title: "sse: the parser of server-sent events, pieces of \(Self.pieceBytes) bytes, best of five",
            figures: [
                BenchFigure("events", Double(seen), ""),
                BenchFigure("payload", Double(bytes) / 1e6, "MB"),
                BenchFigure("parser", megabytes / bestParse, "MB/s"),
                BenchFigure("parser", Double(seen) / bestParse, "events/s"),
                BenchFigure("baseline, looking for line feeds", megabytes / bestScan, "MB/s"),
                BenchFigure("ratio to the baseline", bestScan / bestParse, ""),
            ])
    }

    private func parse(_ stream: [UInt8]) -> (events: Int, bytes: Int) {
        var parser = EventStreamParser()
        var events = 0
        var bytes = 0
        stream.withUnsafeBytes { buffer in
            forEachPiece(buffer) { piece in
                parser.push(piece) { event in
                    events += 1
                    bytes += event.data.count
                }
            }
        }
        return (events, bytes)
    }

    private func scan(_ stream: [UInt8]) -> Int {
        var lines = 0
        stream.withUnsafeBytes { buffer in
            forEachPiece(buffer) { piece in
                var rest = piece
                while let start = rest.baseAddress, let feed = memchr(start, 0x0A, rest.count) {
                    lines += 1
                    rest = UnsafeRawBufferPointer(rebasing: rest[(start.distance(to: UnsafeRawPointer(feed)) + 1)...])
                }
            }
        }
        return lines
    }

    private func forEachPiece(_ buffer: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        while start < buffer.count {
            let end = min(buffer.count, start + Self.pieceBytes)
            body(UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
            start = end
        }
    }
}
