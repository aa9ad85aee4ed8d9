import Postgres
package import Records

/// The model whose vectors the index has: that of the active generation, else of the newest one that has any; no row where
/// nothing was embedded yet.
struct ReadGenerationModel: PostgresStatement {
    static let name = "read_generation_model"
    static let sql = """
        SELECT g.generation, m.name FROM generations g JOIN models m ON m.id = g.model_id
        ORDER BY g.generation = (SELECT generation FROM active_generation) DESC NULLS LAST, g.generation DESC LIMIT 1
        """
    static let parameterTypes: [PostgresType] = []

    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (generation: Int64, model: String) {
        (try row.int64(0), try row.text(1))
    }
}

extension GenerationStore {
    /// The name of the model whose vectors the index has, and the generation that says so: the active one, where it has any. Nil
    /// where nothing was embedded yet.
    ///
    /// The first write of vectors fixes the model of the first generation; one made from another has its parent's, or the one that it
    /// was made for.
    package func model(timeoutMilliseconds: Int) throws(IndexError) -> (generation: Int64, model: String)? {
        try connection.run(ReadGenerationModel(), timeoutMilliseconds: timeoutMilliseconds).first
    }
}

/// The name of a model.
struct ReadModelName: PostgresStatement {
    static let name = "read_model_name"
    static let sql = "SELECT name FROM models WHERE id = $1"
    static let parameterTypes: [PostgresType] = [.int4]
    let number: Int32
    func bind(into parameters: inout PostgresParameters) { parameters.append(number) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// The models of generations; no row for one that has none yet.
struct ListGenerationModels: PostgresStatement {
    static let name = "list_generation_models"
    static let sql = """
        SELECT g.generation, m.name, g.state FROM generations g JOIN models m ON m.id = g.model_id ORDER BY g.generation
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (
        generation: Int64, model: String, state: GenerationState
    ) {
        (try row.int64(0), try row.text(1), try GenerationState(row: row, column: 2, operation: name))
    }
}

/// Makes the tables of a model's vectors for all tenants, or for the standard one where there is none yet. One row: the model's number.
struct PrepareModel: PostgresStatement {
    static let name = "prepare_model"
    static let sql = """
        SELECT max(medallion_prepare_vectors($1, $2, t.name, $3, $4)) FROM (
            SELECT name FROM tenants UNION ALL SELECT $5 WHERE NOT EXISTS (SELECT FROM tenants)) t
        """
    static let parameterTypes: [PostgresType] = [.text, .int4, .int4, .int4, .text]
    let vectors: VectorKind
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(vectors.model))
        parameters.append(Int32(clamping: vectors.dimensions))
        parameters.append(Int32(clamping: vectors.graph.m))
        parameters.append(Int32(clamping: vectors.graph.efConstruction))
        parameters.append(TenantID.standard.text)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int32 { try row.int32(0) }
}

/// What a generation's vectors are to be.
package struct VectorKind: Sendable, Equatable {
    /// The model's name, as vectors are stored under it.
    package var model: String
    /// Numbers of a vector.
    package var dimensions: Int
    /// Of the tables that are made for them.
    package var graph: VectorGraph

    package init(model: String, dimensions: Int, graph: VectorGraph = VectorGraph()) {
        (self.model, self.dimensions, self.graph) = (model, dimensions, graph)
    }
}

extension GenerationStore {
    /// The models of all generations that have one, also of those that were pruned.
    package func models(
        timeoutMilliseconds: Int
    ) throws(IndexError) -> [(generation: Int64, model: String, state: GenerationState)] {
        try connection.run(ListGenerationModels(), timeoutMilliseconds: timeoutMilliseconds)
    }
}
