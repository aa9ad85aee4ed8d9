import Access
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Retrieval

/// Whose documents a request is about. It follows from the key, never from a body or a path.
extension AccessGuard {
    /// The header by which an administrator of the platform says whose documents are meant.
    static let tenantHeader = "Medallion-Tenant"
    /// The names that tenants may have, see ``TenantID``.
    static let tenantPattern = #"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$"#

    /// For the document.
    static let tenantParameter: @Sendable (EndpointAccess) -> [EndpointParameter] = { access in
        switch access {
        case .probe, .open: return []
        case .role, .roleOrAnonymous:
            return [
                EndpointParameter(
                    .header, tenantHeader, .string(pattern: tenantPattern),
                    "Whose documents are meant, where an administrator of the platform asks; `default` unless given. "
                        + "Others see their key's tenant, and get 403 where they name another.")
            ]
        }
    }

    /// Whose documents a request sees: those of its key's tenant; without a key, those of the standard one. An administrator of
    /// the platform names one.
    ///
    /// - Throws: 401 for a key that is not valid, 403 where somebody names another tenant than his own, 422 where the header
    ///   has no name; as ``caller(_:)``.
    func tenant(of request: HTTPRequest) throws -> TenantID {
        try tenant(named: request.headers, by: caller(request))
    }

    func tenant(named headers: HTTPHeaders, by caller: Caller) throws -> TenantID {
        let named = try Self.namedTenant(headers)
        switch caller {
        case .unknownKey: throw invalidKey()
        case .key(let key) where key.isPlatformAdmin: return named ?? .standard
        case .key(let key): return try only(key.home, named)
        case .anonymous: return try only(.standard, named)
        }
    }

    /// Whatever other name is given, the refusal is the same: it tells nobody which tenants there are.
    private func only(_ home: TenantID, _ named: TenantID?) throws -> TenantID {
        guard let named, named != home else { return home }
        throw refusal(
            403, "tenant_forbidden",
            "\(Self.tenantHeader) names another tenant than the caller's; only a key of an administrator of the platform may"
        )
    }

    /// What the header says; nil where there is none.
    static func namedTenant(_ headers: HTTPHeaders) throws -> TenantID? {
        let values = headers.values(tenantHeader)
        guard let text = values.first else { return nil }
        func fault(_ type: String, _ message: String) -> EndpointError {
            .invalid([
                InputFault(
                    type: type, location: [.name("header"), .name(tenantHeader)], message: message, input: .string(text)
                )
            ])
        }
        guard values.count == 1 else { throw fault("duplicate", "is given twice") }
        guard let tenant = TenantID(text) else {
            throw fault("string_pattern_mismatch", "must be the name of a tenant: \(TenantID.grammar)")
        }
        return tenant
    }

    /// Whether a stream's caller may still see that tenant's events: a stream outlives the key that it was asked for with.
    func isWelcome(_ request: HTTPRequest, as tenant: TenantID) -> Bool {
        // While the keys are not known, those known last go on.
        guard let caller = try? caller(request) else { return true }
        return (try? self.tenant(named: request.headers, by: caller)) == tenant
    }

    /// Whether the caller may see what does not tell the tenants apart, such as figures of the process and errors of what it
    /// depends on: an administrator of the platform, and anybody as long as there is no tenant but his own.
    func seesAllTenants(_ request: HTTPRequest) -> Bool {
        guard let caller = try? caller(request) else { return false }
        switch caller {
        case .unknownKey: return false
        case .key(let key): return key.isPlatformAdmin || tenants().isSubset(of: [key.home])
        case .anonymous: return tenants().isSubset(of: [.standard])
        }
    }

    /// What log and figures say of who asked.
    ///
    /// - Returns: the key's id and its tenant, or the one that an administrator named; nil for what there is not.
    func names(_ headers: HTTPHeaders) -> (key: String?, tenant: TenantID?) {
        guard case .key(let key)? = try? caller(headers) else { return (nil, nil) }
        guard key.isPlatformAdmin else { return (key.id, key.home) }
        return (key.id, (try? Self.namedTenant(headers)) ?? nil)
    }
}

/// What of the declared collections the callers may know: each those of its tenant.
struct TenantScope: Sendable {
    let access: AccessGuard
    let collections: CollectionCatalog

    /// What is declared for the caller's tenant, to which everything that is asked for by it is bound.
    ///
    /// - Throws: as ``AccessGuard/tenant(of:)``.
    func declared(for request: HTTPRequest) throws -> DeclaredAttributes {
        collections.declared(of: try access.tenant(of: request))
    }
}
