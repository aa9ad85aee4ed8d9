/// What the name of stored vectors tells of them: only vectors of the same name compare.
package struct VectorModel: Sendable, Hashable {
    /// Who makes them.
    package enum Maker: Sendable, Hashable {
        /// The model of a folder, in a precision.
        case local(EmbeddingPrecision)
        /// A server.
        case remote

        fileprivate var word: String {
            switch self {
            case .local(let precision): precision.rawValue
            case .remote: "remote"
            }
        }
    }

    /// What the folder or the server calls the model.
    package var base: String
    /// Numbers of a vector. Where the model gives more, they are its first ones, brought to length 1.
    package var dimensions: Int
    package var maker: Maker

    package init(base: String, dimensions: Int, maker: Maker) {
        (self.base, self.dimensions, self.maker) = (base, dimensions, maker)
    }

    /// The name that the vectors are stored under.
    package var name: String { "\(base)/\(dimensions)/\(maker.word)" }

    /// Takes a name apart; nil where it is none of this program's.
    package init?(name: String) {
        // What comes first may have slashes of its own.
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3, let word = parts.last, let dimensions = Int(parts[parts.count - 2]), dimensions > 0
        else {
            return nil
        }
        let makers: [Maker] = EmbeddingPrecision.allCases.map { .local($0) } + [.remote]
        guard let maker = makers.first(where: { $0.word == word }) else { return nil }
        self.init(base: parts.dropLast(2).joined(separator: "/"), dimensions: dimensions, maker: maker)
        guard self.name == name, !base.isEmpty else { return nil }
    }
}
