import Bytes
import JSONScan
import Records
import Retrieval

extension AttributeList {
    /// What a Gold line tells of its document; nil where it lacks what every document of recent changes has.
    init?(goldLine json: JSONValue) {
        guard let wiki = json["wiki"]?.string, let type = json["type"]?.string, let isBot = json["is_bot"]?.bool else {
            return nil
        }
        self.init()
        set(.wiki, .string(wiki))
        set(.isBot, .bool(isBot))
        set(.type, .string(type))
        set(.lang, .string(json["lang"]?.string ?? "und"))
        set(.collection, .string(json["collection"]?.string ?? ""))
        if let namespace = json["namespace"]?.integer { set(.namespace, .integer(namespace)) }
        if let user = json["user"]?.string { set(.user, .string(user)) }
        if let time = json["event_time"]?.string.flatMap({ CivilTime.epochMilliseconds($0) }) {
            set(.eventTime, .time(time))
        }
        for (key, member) in json["attributes"]?.object ?? [] {
            // What has a place of its own in the line is not looked for among the attributes.
            guard let name = AttributeName(key), DeclaredAttributes.recentChanges.declarations[name] == nil else {
                continue
            }
            switch member {
            case .string(let text): set(name, .string(text))
            case .integer(let number): set(name, .integer(number))
            case .double(let number): set(name, .number(number))
            case .bool(let flag): set(name, .bool(flag))
            case .null, .array, .object: break
            }
        }
    }
}
