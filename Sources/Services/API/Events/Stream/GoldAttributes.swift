import Bytes
import Records
import Retrieval

extension AttributeList {
    /// What a Gold line tells of its document; nil where it lacks what every document of recent changes has.
    init?(goldLine line: borrowing GoldLine.Fields) {
        guard let wiki = line[.wiki].string, let type = line[.type].string, let isBot = line[.isBot].bool else {
            return nil
        }
        self.init()
        set(.wiki, .string(wiki))
        set(.isBot, .bool(isBot))
        set(.type, .string(type))
        set(.lang, .string(line[.lang].string ?? "und"))
        set(.collection, .string(line[.collection].string ?? ""))
        if let namespace = line[.namespace].integer { set(.namespace, .integer(namespace)) }
        if let user = line[.user].string { set(.user, .string(user)) }
        if let time = line[.eventTime].string.flatMap({ CivilTime.epochMilliseconds($0) }) {
            set(.eventTime, .time(time))
        }
        var others: [(name: AttributeName, value: AttributeValue)] = []
        line[.attributes].forEachMember { key, member in
            // What has a place of its own in the line is not looked for among the attributes.
            guard let name = key.string.flatMap({ AttributeName($0) }),
                DeclaredAttributes.recentChanges.declarations[name] == nil, let value = AttributeValue(member)
            else { return }
            others.append((name, value))
        }
        for (name, value) in others { set(name, value) }
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
