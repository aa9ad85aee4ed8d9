import API
import Access
import Bytes
import Concurrency
import Console
import Records
import ServiceLifecycle
import Settings
import Store
import Telemetry

/// `medallion keys`: who may ask the HTTP API.
struct KeysCommand: Command {
    static let name = "keys"
    static let summary = "Makes, lists and revokes keys of the HTTP API."
    static let table = ArgumentTable(
        options: [
            .init(name: "--role", value: "ROLE", help: "create: read, write or admin (default read)."),
            .init(
                name: "--tenant", value: "NAME",
                help: "create: whose documents it opens (default: default; with the role admin, all tenants')."),
            .init(name: "--days", value: "N", help: "create: valid for so many days (default: until revoked)."),
            .init(name: "--json", value: nil, help: "One JSON object per line."),
        ],
        positionals: [
            .init(name: "ACTION", isRequired: true, help: "create, ls or revoke."),
            .init(name: "NAME", isRequired: false, help: "create: who gets the key. revoke: the key's id."),
        ])
    static let details = """
        The key itself is printed once, by create, and kept nowhere; the database (POSTGRES_DSN, or the embedded one) has
        its hash. A change reaches every serving process within about a second.

        A key opens the documents of one tenant, as the sources declare them. Without --tenant, one of the role admin belongs to
        no tenant and administers the platform: its requests name a tenant by the header Medallion-Tenant, or see `default`. With
        --tenant it administers that tenant alone.

          medallion keys create grafana --role read --days 365
          medallion keys create shop --tenant acme
          curl -H "Authorization: Bearer $MEDALLION_API_KEY" http://127.0.0.1:8080/events/recent
          medallion keys revoke k3x9w2m5q8ab
        """

    private enum Action {
        case create(name: String, role: Role, tenant: TenantID?, days: Int?)
        case list
        case revoke(id: String)
    }

    private static let limitMilliseconds = 10_000

    private let action: Action
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        isJSON = arguments.has("--json")
        let role = arguments.value("--role")
        let tenant = arguments.value("--tenant")
        let days = try arguments.integer("--days", in: NewKey.days)
        let word = arguments.word(0) ?? ""
        let name = arguments.word(1)
        if word != "create", role != nil || tenant != nil || days != nil {
            throw UsageError("--role, --tenant and --days go with create")
        }
        switch word {
        case "create":
            guard let name, !name.isEmpty, name.count <= NewKey.nameCharactersMax else {
                throw UsageError(
                    "create needs a NAME of at most \(NewKey.nameCharactersMax) characters: who gets the key")
            }
            guard let known = Role(rawValue: role ?? Role.read.rawValue) else {
                let roles = Role.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--role \(role ?? ""): not one of \(roles)")
            }
            action = .create(name: name, role: known, tenant: try Self.tenant(tenant, of: known), days: days)
        case "ls":
            guard name == nil else { throw UsageError("ls takes no NAME") }
            action = .list
        case "revoke":
            guard let name else { throw UsageError("revoke needs the key's id, as `medallion keys ls` lists it") }
            // Whoever has the key at hand may give all of it.
            action = .revoke(id: APIKeyText(name)?.id ?? name)
        default: throw UsageError("ACTION is create, ls or revoke")
        }
    }

    /// Whose documents a new key opens; nil for an administrator of the platform.
    private static func tenant(_ text: String?, of role: Role) throws -> TenantID? {
        guard let text else { return role == .admin ? nil : .standard }
        guard let tenant = TenantID(text) else {
            throw UsageError("--tenant \(text): no name of a tenant, which has \(TenantID.grammar)")
        }
        return tenant
    }

    func run(_ context: Context) async throws {
        // What the embedded database has to say about its start belongs to no list of keys.
        let quiet = Context(
            settings: context.settings,
            logger: Logger("medallion", level: max(context.logger.level, .warning), sink: context.sink),
            sink: context.sink, metrics: context.metrics, isTerminal: context.isTerminal)
        let platform = Platform(context: quiet)
        let work = ClosureService(name: "keys", endsGroup: true) { _ in
            let database = try platform.database("keys")
            try await Lane(name: "keys").run { try self.change(KeyStore(configuration: database)) }
        }
        // The embedded one is started for the moment where it does not run, as `migrate` does.
        try await quiet.run(platform.databaseServices() + [work])
    }

    private func change(_ store: KeyStore) throws {
        switch action {
        case .list:
            let keys = try store.list(timeoutMilliseconds: Self.limitMilliseconds)
            if keys.isEmpty, !isJSON { Output.line("no keys; `medallion keys create NAME` makes one") }
            for key in keys { show(key) }
        case .revoke(let id):
            guard let key = try store.revoke(id, timeoutMilliseconds: Self.limitMilliseconds) else {
                throw Failure("there is no key \(LogText.escaped(id)); see medallion keys ls")
            }
            show(key)
        case .create(let name, let role, let tenant, let days):
            let made = try NewKey(name: name, role: role, tenant: tenant, days: days)
            let (key, text) = (made.key, made.text)
            try store.create(key, timeoutMilliseconds: Self.limitMilliseconds)
            if isJSON {
                show(key, text: text.text)
            } else {
                // The key alone on standard output, so that it can go where it belongs without being seen.
                Output.line(text.text)
                Output.complain(
                    "key \(key.id) for \(LogText.escaped(name)), role \(role.rawValue), \(Self.words(of: key)); it is shown "
                        + "only now\n")
            }
        }
    }

    private func show(_ key: APIKey, text: String? = nil) {
        if isJSON {
            var json = JSONWriter()
            json.beginObject()
            if let text {
                json.string("key", text)
            }
            json.string("id", key.id)
            json.string("name", key.name)
            json.string("role", key.role.rawValue)
            json.key("tenant")
            if key.isPlatformAdmin { json.null() } else { json.string(key.home.text) }
            for (name, time) in times(of: key) {
                json.key(dynamic: name + "_at")
                if let time { json.string(CivilTime.rfc3339(time)) } else { json.null() }
            }
            json.endObject()
            Output.write(json.bytes + [0x0A])
            return
        }
        let words = times(of: key).compactMap { name, time in time.map { "\(name) \(CivilTime.rfc3339($0))" } }
        let role = key.role.rawValue.padded(to: 5)
        let tenant = Self.words(of: key)
        Output.line("\(key.id)  \(role)  \(tenant)  \(words.joined(separator: ", "))  \(LogText.escaped(key.name))")
    }

    private static func words(of key: APIKey) -> String {
        key.isPlatformAdmin ? "all tenants" : "tenant \(key.home)"
    }

    private func times(of key: APIKey) -> [(name: String, time: Int64?)] {
        [
            ("created", key.createdAtMilliseconds), ("expires", key.expiresAtMilliseconds),
            ("revoked", key.revokedAtMilliseconds),
        ]
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
