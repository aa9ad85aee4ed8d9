/// The numbers that a model's matrices are made of; set-up makes the model in each.
///
/// It is a part of the model's name, since vectors of one precision do not compare well with those of another. Within `float`
/// the processor decides on float32 or bfloat16: the cosine of their vectors is 0.9999.
package enum EmbeddingPrecision: String, Sendable, CaseIterable {
    /// As the model was trained.
    case float
    /// 8-bit matrices, with activations quantised while it runs where the processor multiplies 8-bit numbers in one
    /// instruction (VNNI). Other processors gain memory by it and no speed.
    case int8

    /// The model in this precision, in a model's folder (see tools/convert_model.py).
    package var modelFile: String {
        switch self {
        case .float: "model.xml"
        case .int8: "model-int8.xml"
        }
    }
}
