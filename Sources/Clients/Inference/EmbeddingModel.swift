import COpenVINO

/// The arithmetic a model runs in.
package enum InferencePrecision: String, Sendable {
    /// bfloat16 where the processor multiplies it natively, else float32; OpenVINO decides.
    case automatic
    case bfloat16 = "bf16"
    case float32 = "f32"
}

/// A sentence-embedding model in OpenVINO IR, compiled for the CPU.
///
/// The IR takes `input_ids` and `attention_mask` (i32, [batch, length]) and gives one f32 [batch, dimensions]; see
/// `tools/convert_model.py`. One inference request is reused, so an instance belongs to one thread at a time and is
/// deliberately not `Sendable`; the work inside is spread over OpenVINO's own threads.
package final class EmbeddingModel {
    /// Path of the IR's XML file.
    package let path: String
    /// Numbers per embedding.
    package let dimensions: Int

    private let core: OpaquePointer
    private let compiled: OpaquePointer
    private let request: OpaquePointer

    /// Loads and compiles; takes about 150 ms.
    ///
    /// - Parameters:
    ///   - path: the IR's XML file; the weights lie beside it in the `.bin`.
    ///   - threads: threads that compute; 0 leaves it to OpenVINO (one per core).
    package init(
        path: String, threads: Int = 0, precision: InferencePrecision = .automatic
    ) throws(InferenceError) {
        var core: OpaquePointer?
        try check(ov_core_create(&core), "start OpenVINO", path)
        guard let core else { throw InferenceError(operation: "start OpenVINO", path: path, reason: "no core") }
        do throws(InferenceError) {
            let compiled = try compile(path, on: core, threads: threads, precision: precision)
            do throws(InferenceError) {
                dimensions = try checkPorts(of: compiled, path: path)
                var request: OpaquePointer?
                try check(ov_compiled_model_create_infer_request(compiled, &request), "prepare the model", path)
                guard let request else {
                    throw InferenceError(operation: "prepare the model", path: path, reason: "no inference request")
                }
                self.request = request
            } catch {
                ov_compiled_model_free(compiled)
                throw error
            }
            self.compiled = compiled
        } catch {
            ov_core_free(core)
            throw error
        }
        self.core = core
        self.path = path
    }

    deinit {
        ov_infer_request_free(request)
        ov_compiled_model_free(compiled)
        ov_core_free(core)
    }

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

/// OpenVINO's version, such as `2026.4.1-…`; nil when it does not say.
package func openVINOVersion() -> String? {
    var version = ov_version_t()
    guard ov_get_openvino_version(&version) == OK else { return nil }
    defer { ov_version_free(&version) }
    return version.buildNumber.map { String(cString: $0) }
}

private func check(_ status: ov_status_e, _ operation: String, _ path: String) throws(InferenceError) {
    if status != OK { throw InferenceError(operation: operation, path: path, status: status) }
}

private func compile(
    _ path: String, on core: OpaquePointer, threads: Int, precision: InferencePrecision
) throws(InferenceError) -> OpaquePointer {
    // OpenVINO pins the threads to cores. That makes a lone query faster (1.5 instead of 2.4 ms at 11 tokens), makes no
    // difference with half a core busy elsewhere, and costs a third more processor time when the machine is overloaded.
    var settings = [("PERFORMANCE_HINT", "LATENCY")]
    if precision != .automatic { settings.append(("INFERENCE_PRECISION_HINT", precision.rawValue)) }
    if threads > 0 { settings.append(("INFERENCE_NUM_THREADS", String(threads))) }
    var compiled: OpaquePointer?
    let status = withProperties(settings[...], []) { properties in
        ov_core_compile_model_from_file_props(
            core, path, "CPU", properties.count, properties.baseAddress, &compiled)
    }
    guard status == OK, let compiled else {
        throw InferenceError(
            operation: "load the model", path: path, status: status,
            hint: "run `make setup`, or point MODEL_DIR to a folder with model.xml and model.bin")
    }
    return compiled
}

/// Nests one `withCString` per setting, so that all C strings live during the call.
private func withProperties<Result>(
    _ settings: ArraySlice<(String, String)>, _ done: [ov_property_t],
    _ body: (UnsafeBufferPointer<ov_property_t>) -> Result
) -> Result {
    guard let (key, value) = settings.first else { return done.withUnsafeBufferPointer(body) }
    return key.withCString { key in
        value.withCString { value in
            withProperties(settings.dropFirst(), done + [ov_property_t(key: key, value: value)], body)
        }
    }
}

/// Checks that the model has the inputs and the output that `infer` uses.
///
/// - Returns: numbers per embedding.
private func checkPorts(of compiled: OpaquePointer, path: String) throws(InferenceError) -> Int {
    for name in ["input_ids", "attention_mask"] {
        var port: OpaquePointer?
        try check(ov_compiled_model_input_by_name(compiled, name, &port), "find the model's input \(name)", path)
        defer { ov_output_const_port_free(port) }
        var type = DYNAMIC
        try check(ov_port_get_element_type(port, &type), "read the model's input \(name)", path)
        guard type == I32 else {
            throw InferenceError(
                operation: "use the model", path: path, reason: "its input \(name) is not i32",
                hint: "convert it as tools/convert_model.py does")
        }
    }
    var port: OpaquePointer?
    try check(ov_compiled_model_output(compiled, &port), "find the model's only output", path)
    defer { ov_output_const_port_free(port) }
    var type = DYNAMIC
    try check(ov_port_get_element_type(port, &type), "read the model's output", path)
    var shape = ov_partial_shape_t()
    try check(ov_port_get_partial_shape(port, &shape), "read the model's output", path)
    defer { ov_partial_shape_free(&shape) }
    guard type == F32, shape.rank.max == 2, let sizes = shape.dims, sizes[1].min == sizes[1].max, sizes[1].max > 0
    else {
        throw InferenceError(
            operation: "use the model", path: path, reason: "its output is not f32 [batch, fixed dimensions]",
            hint: "pooling and normalisation belong into the model; convert it as tools/convert_model.py does")
    }
    return Int(sizes[1].max)
}
