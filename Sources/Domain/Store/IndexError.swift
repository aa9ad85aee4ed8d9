package import Postgres

/// Why the index could not be read or written.
package struct IndexError: Error, CustomStringConvertible, Sendable {
    /// The sort of failure, which decides what the caller does next.
    package enum Kind: String, Sendable {
        /// The database's schema or extension is not what this program expects.
        case schema
        /// Another writer moved the checkpoint, or this one is behind: read the checkpoints again.
        case checkpoint
        /// A content or a vector that was to be shared has gone since it was looked up: look up again, embed, write again.
        case vectorGone
        /// The vectors of a generation, or those under a model's name, are of another model.
        case model
        /// There is no such generation, or its state does not allow the step.
        case generation
        /// The generation has not reached the active one's checkpoints yet: promote later.
        case generationBehind
        /// Texts cannot be cut into words here.
        case words
        /// Something else about Postgres; see `underlying`.
        case database
    }

    /// What sort of failure it is.
    package let kind: Kind
    /// What failed, on what, and why.
    package let message: String
    /// What an operator can do.
    package let hint: String?
    /// The client's error, if it was one.
    package let underlying: PostgresError?

    package init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
        underlying = nil
    }

    /// Reads the meaning of this schema's own SQLSTATEs (see V0002 of the migrations).
    package init(_ error: PostgresError) {
        kind =
            switch error.sqlState {
            case "MD001": .checkpoint
            case "MD002": .generation
            case "MD003": .generationBehind
            case "MD004": .vectorGone
            case "MD005": .model
            case "42P01", "42703", "42883": .schema
            default: .database
            }
        message = error.sqlState?.hasPrefix("MD") == true ? error.message : error.description
        hint =
            switch kind {
            case .schema: "run `medallion migrate`"
            case .model:
                "go back to that model (MODEL_DIR, EMBED_URL), or make a generation of this one: medallion replay --model"
            default: nil
            }
        underlying = error
    }

    /// Whether the same step may succeed later, after what `kind` asks for.
    package var isRetriable: Bool {
        switch kind {
        case .schema, .generation, .model, .words: false
        case .checkpoint, .vectorGone, .generationBehind: true
        case .database: underlying?.isRetriable ?? false
        }
    }

    /// Whether Postgres cannot be reached: there is no connection, or it is being started or stopped.
    var isOfUnreachable: Bool {
        guard kind == .database, let underlying else { return false }
        return underlying.kind == .connect || underlying.kind == .closed
            || underlying.sqlState.map { $0.hasPrefix("57P0") } ?? false
    }

    /// Whether Postgres refused the rows themselves: trying again cannot help, leaving one of them out can.
    var isRefusal: Bool { kind == .database && underlying?.isDataRefusal == true }

    package var description: String { "index: \(message)" + (hint.map { "; hint: \($0)" } ?? "") }
}
