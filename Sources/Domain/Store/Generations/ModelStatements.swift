import Postgres

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
    /// The first write of vectors fixes the model of a generation, and one made from another has its parent's.
    package func model(timeoutMilliseconds: Int) throws(IndexError) -> (generation: Int64, model: String)? {
        try connection.run(ReadGenerationModel(), timeoutMilliseconds: timeoutMilliseconds).first
    }
}
