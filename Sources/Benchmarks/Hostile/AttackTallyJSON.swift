import Bytes
import JSONScan

/// How a process that attacks tells its parent what it did: a JSON object per line.
extension AttackTally {
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("attack", name)
        json.integer("messages", messages)
        json.integer("connections", connections)
        json.integer("connections_held", connectionsHeld)
        json.integer("unconnected", unconnected)
        json.integer("bytes_sent", bytesSent)
        json.integer("bytes_received", bytesReceived)
        json.integer("cut", cut)
        json.integer("left", left)
        json.integer("unanswered", unanswered)
        json.key("statuses")
        json.beginObject()
        for (status, count) in statuses.sorted(by: { $0.key < $1.key }) {
            json.key(dynamic: "\(status)")
            json.integer(count)
        }
        json.endObject()
        json.endObject()
        return json.bytes
    }

    /// Reads ``json``; nil where the line is something else.
    init?(line: some Sequence<UInt8>) {
        guard let value = try? JSONValue.parse(Array(line)), let name = value["attack"]?.string else { return nil }
        func number(_ member: String) -> Int { value[member]?.integer.map { Int($0) } ?? 0 }
        self.init(name: name)
        messages = number("messages")
        connections = number("connections")
        connectionsHeld = number("connections_held")
        unconnected = number("unconnected")
        bytesSent = number("bytes_sent")
        bytesReceived = number("bytes_received")
        cut = number("cut")
        left = number("left")
        unanswered = number("unanswered")
        for (status, count) in value["statuses"]?.object ?? [] {
            if let status = Int(status), let count = count.integer { statuses[status] = Int(count) }
        }
    }
}
