package import Records

/// How the graph over the vectors is built (HNSW; Malkov, Yashunin: "Efficient and robust approximate nearest neighbor search
/// using hierarchical navigable small world graphs", 2018).
package struct VectorGraph: Sendable, Equatable {
    /// Links of a node in each layer above the first, which has twice as many.
    package var m: Int
    /// Candidates that are looked at when a node is linked.
    package var efConstruction: Int
    /// Vectors that may wait to be linked: each search in Postgres compares all of them. Who writes links as many as come beyond.
    package var waitingMax: Int

    package init(m: Int = 16, efConstruction: Int = 64, waitingMax: Int = 20_000) {
        self.m = m
        self.efConstruction = efConstruction
        self.waitingMax = waitingMax
    }
}

/// What a vector belongs to.
package struct VectorInput: Sendable, Hashable {
    package var tenant: TenantID
    /// SHA-256 in hex of what the model sees.
    package var hash: String

    package init(tenant: TenantID, hash: String) {
        self.tenant = tenant
        self.hash = hash
    }
}
