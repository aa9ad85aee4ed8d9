import Bytes
import Records
import Retrieval

extension AttributeList {
    /// What a Gold line tells of its document; nil where it is no document's.
    init?(goldLine line: borrowing GoldLine.Fields) {
        guard let collection = line[.collection].string else { return nil }
        self.init()
        set(.collection, .string(collection))
        set(.lang, .string(line[.lang].string ?? "und"))
        if let wiki = line[.wiki].string { set(.wiki, .string(wiki)) }
        if let isBot = line[.isBot].bool { set(.isBot, .bool(isBot)) }
        if let type = line[.type].string { set(.type, .string(type)) }
        if let namespace = line[.namespace].integer { set(.namespace, .integer(namespace)) }
        if let user = line[.user].string { set(.user, .string(user)) }
        if let time = line[.eventTime].string.flatMap({ CivilTime.epochMilliseconds($0) }) {
            set(.eventTime, .time(time))
        }
        var others: [(name: AttributeName, value: AttributeValue)] = []
        line[.attributes].forEachMember { key, member in
            guard let name = key.string.flatMap({ AttributeName($0) }), let value = AttributeValue(member) else {
                return
            }
            others.append((name, value))
        }
        // What has a place of its own in the line counts there.
        for (name, value) in others where self.value(of: name) == nil { set(name, value) }
    }
}

extension AttributeValue {
    /// Nil for null, arrays and objects.
    fileprivate init?(_ member: JSONSlice) {
        switch member.kind {
        case .string:
            guard let text = member.string else { return nil }
            self = .string(text)
        case .number:
            if let number = member.integer {
                self = .integer(number)
            } else if let number = Double(String(decoding: member.bytes, as: UTF8.self)), number.isFinite {
                self = .number(number)
            } else {
                return nil
            }
        case .bool:
            guard let flag = member.bool else { return nil }
            self = .bool(flag)
        case .absent, .null, .array, .object: return nil
        }
    }
}
