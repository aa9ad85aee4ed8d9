import Postgres
package import Records

/// A generation as an index takes it over that is made from a lake.
package struct AdoptedGeneration: Sendable, Equatable {
    package var generation: Int64
    /// Nil for the first.
    package var parent: Int64?
    package var state: GenerationState
    package var logicVersion: String

    package init(generation: Int64, parent: Int64?, state: GenerationState, logicVersion: String) {
        self.generation = generation
        self.parent = parent
        self.state = state
        self.logicVersion = logicVersion
    }
}

/// Makes an empty index that of a lake; see `medallion_adopt_generations` of the migrations.
struct AdoptGenerations: PostgresStatement {
    static let name = "adopt_generations"
    static let sql = "SELECT medallion_adopt_generations($1, $2, $3, $4)"
    static let parameterTypes: [PostgresType] = [.int8Array, .int8Array, .textArray, .textArray]
    let generations: [AdoptedGeneration]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generations.map(\.generation))
        parameters.append(generations.map { $0.parent ?? 0 })
        parameters.append(generations.map(\.state.rawValue))
        parameters.append(generations.map { IndexText.clean($0.logicVersion) })
    }
}
