import COpenVINO

/// A model's inputs and outputs, reused from call to call.
///
/// Belongs to one thread at a time, and is deliberately not `Sendable`.
package final class InferenceRequest {
    /// Numbers per embedding.
    package var dimensions: Int { model.dimensions }

    private let request: OpaquePointer
    /// Outlives the request.
    private let model: EmbeddingModel
    private var path: String { model.path }

    init(_ request: OpaquePointer, of model: EmbeddingModel) {
        self.request = request
        self.model = model
    }

    deinit { ov_infer_request_free(request) }

    /// Embeds a batch; blocks while it computes.
    ///
    /// - Parameters:
    ///   - sequences: token ids of each text; none may be longer than `length`.
    ///   - length: tokens that every row is padded to. Each distinct (batch, length) costs about half a megabyte that
    ///     OpenVINO keeps, so callers should use few of them.
    /// - Returns: `sequences.count` × `dimensions` numbers, row by row.
    package func infer(_ sequences: some Collection<[Int32]>, length: Int) throws(InferenceError) -> [Float] {
        let batch = sequences.count
        guard batch > 0, length > 0 else { return [] }
        guard sequences.allSatisfy({ $0.count <= length }) else {
            throw InferenceError(
                operation: "embed", path: path, reason: "a sequence is longer than the padded length of \(length)")
        }
        try setInput("input_ids", to: sequences, length: length) { $0 }
        try setInput("attention_mask", to: sequences, length: length) { _ in 1 }
        try check(ov_infer_request_infer(request), "embed", path)
        return try output(count: batch * dimensions)
    }

    /// Gives the request a new i32 input: what `value` makes of each token, then zeros up to `length`.
    private func setInput(
        _ name: String, to sequences: some Collection<[Int32]>, length: Int, value: (Int32) -> Int32
    ) throws(InferenceError) {
        let batch = sequences.count
        var sizes = [Int64(batch), Int64(length)]
        var tensor: OpaquePointer?
        let created = sizes.withUnsafeMutableBufferPointer { sizes in
            ov_tensor_create(I32, ov_shape_t(rank: 2, dims: sizes.baseAddress), &tensor)
        }
        try check(created, "make the input \(name)", path)
        // The request shares ownership of the memory once the tensor is set.
        defer { ov_tensor_free(tensor) }
        var data: UnsafeMutableRawPointer?
        try check(ov_tensor_data(tensor, &data), "fill the input \(name)", path)
        guard let data else {
            throw InferenceError(operation: "fill the input \(name)", path: path, reason: "no memory")
        }
        let values = data.bindMemory(to: Int32.self, capacity: batch * length)
        values.update(repeating: 0, count: batch * length)
        for (row, sequence) in sequences.enumerated() {
            for (column, token) in sequence.enumerated() { values[row * length + column] = value(token) }
        }
        try check(ov_infer_request_set_tensor(request, name, tensor), "set the input \(name)", path)
    }

    private func output(count: Int) throws(InferenceError) -> [Float] {
        var tensor: OpaquePointer?
        try check(ov_infer_request_get_output_tensor(request, &tensor), "read the embeddings", path)
        defer { ov_tensor_free(tensor) }
        var size = 0
        var data: UnsafeMutableRawPointer?
        try check(ov_tensor_get_size(tensor, &size), "read the embeddings", path)
        try check(ov_tensor_data(tensor, &data), "read the embeddings", path)
        guard let data, size == count else {
            throw InferenceError(
                operation: "read the embeddings", path: path, reason: "\(size) numbers where \(count) were expected")
        }
        return Array(UnsafeBufferPointer(start: data.assumingMemoryBound(to: Float.self), count: count))
    }
}
