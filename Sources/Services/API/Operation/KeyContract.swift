import Access
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records

/// The body of `POST /keys`.
struct KeyInput: Sendable {
    var name = ""
    var role = Role.read
    var tenant: String?
    var days: Int?

    private static let tenantForm = Form<String>.string(
        1...249,
        pattern: TextPattern(AccessGuard.tenantPattern, "must be the name of a tenant: \(TenantID.grammar)") {
            TenantID($0) != nil
        })

    static let form = InputForm(
        KeyInput(),
        body: BodyForm(
            \.self,
            Form<KeyInput>.object(
                KeyInput(),
                [
                    Field(
                        "name", \.name, .string(1...NewKey.nameCharactersMax, notBlank: true), "Who gets it.",
                        isRequired: true),
                    Field("role", \.role, .choice, "What it may."),
                    Field(
                        "tenant", \.tenant, tenantForm.optional,
                        "Whose documents it opens. Left out: the caller's tenant; where an administrator of the platform asks, "
                            + "`default`, or with the role `admin` all tenants."),
                    Field(
                        "days", \.days, Form<Int>.integer(NewKey.days).optional,
                        "Valid for so many days; until it is revoked if left out."),
                ]
            ).named("NewKey"),
            examples: [
                (
                    "a reader for a year",
                    .object([("name", .string("grafana")), ("role", .string("read")), ("days", .integer(365))])
                )
            ]))
}

/// What names one key.
struct KeyIDInput: Sendable {
    var id = ""

    static let form = InputForm(
        KeyIDInput(),
        [Parameter(.path, "key_id", \.id, .string(1...64), "Its `id`, as `GET /keys` has it; never the key itself.")])
}

extension Contract {
    private static let administering = EndpointAccess.role(Role.admin.rawValue)
    private static let unknownKeys = EndpointReply.error(503, "The keys are not known yet, or cannot be changed now.")

    static let keys = Endpoint(
        .get, "/keys", id: "keys", tag: "Operation", access: administering,
        summary: "Which keys there are, without their secrets",
        details: "An administrator of a tenant sees that tenant's.", input: NoInput.form,
        replies: [.json(200, "The keys, in the order of their making.", ReplySchemas.keys), unknownKeys])

    static let createKey = Endpoint(
        .post, "/keys", id: "createKey", tag: "Operation", access: administering,
        summary: "Makes a key, which only this reply shows",
        details: "An administrator of a tenant makes keys of that tenant.", input: KeyInput.form,
        replies: [
            .json(201, "It is made, and valid everywhere within about a second.", ReplySchemas.keyMade),
            .error(409, "The tenant has as many keys as its administrators may make."), unknownKeys,
        ])

    static let revokeKey = Endpoint(
        .delete, "/keys/{key_id}", id: "revokeKey", tag: "Operation", access: administering,
        summary: "Ends a key's use for good", input: KeyIDInput.form,
        replies: [
            .json(200, "It is refused everywhere within about a second.", ReplySchemas.key),
            .error(404, "There is no such key."), unknownKeys,
        ])
}

extension ReplySchemas {
    private static let keyMembers: [Schema.Property] = [
        .init("id", .string(), "A part of the key's text, and no secret."), .init("name", .string()),
        .init("role", .choice(Role.allCases.map(\.rawValue))),
        .init("tenant", .string().orNull, "Whose documents it opens; null for an administrator of the platform."),
        .init("created_at", .time()), .init("expires_at", .time().orNull), .init("revoked_at", .time().orNull),
    ]

    static let key = Schema.object(keyMembers).named("APIKey")
    static let keys = Schema.object([.init("keys", .array(of: key))]).named("KeysReply")
    static let keyMade = Schema.object(
        [.init("key", .string(), "The key itself. It is kept nowhere and shown only now.")] + keyMembers
    ).named("NewKeyReply")
}
