package import Bytes
import CLateLibraries
import COpenVINO
import Glibc

/// The arithmetic a model runs in.
package enum InferencePrecision: String, Sendable {
    /// bfloat16 where the processor multiplies it fast, else float32; OpenVINO decides, but on Intel's processors without AMX.
    /// Those have instructions for bfloat16 that take longer than the ones for float32: 69 ms instead of 40 for four texts of
    /// 56 tokens on one core, where a search's query costs the same either way.
    case automatic
    case bfloat16 = "bf16"
    case float32 = "f32"
}

/// How a compiled model uses the cores.
package enum InferenceParallelism: Sendable, Equatable {
    /// One request at a time, spread over this many threads; 0 means one per core. For a text that somebody waits for.
    case latency(threads: Int)
    /// This many requests side by side, one thread each. For bulk: threads of one request wait for one another at every
    /// layer, which costs a fifth of the throughput on two cores, and far more when other work takes one of them away.
    case throughput(requests: Int)
}

/// A sentence-embedding model in OpenVINO IR, compiled for the CPU.
///
/// The IR takes `input_ids` and `attention_mask` (i32, [batch, length]) and gives one f32 [batch, dimensions]; see
/// `tools/convert_model.py`. Not `Sendable`: make all requests where the model was compiled, then hand each to its thread.
package final class EmbeddingModel {
    /// Path of the IR's XML file.
    package let path: String
    /// Numbers per embedding.
    package let dimensions: Int

    private let core: OpaquePointer
    private let compiled: OpaquePointer

    /// Loads and compiles; takes about 150 ms.
    ///
    /// - Parameters:
    ///   - path: the IR's XML file; the weights lie beside it in the `.bin`.
    ///   - standing: of OpenVINO's threads, which do the computing: they are made here, and a thread inherits its maker's
    ///     (setpriority(2)), not that of the thread that asks for the work.
    package init(
        path: String, parallelism: InferenceParallelism = .latency(threads: 0),
        precision: InferencePrecision = .automatic, standing: ThreadPriority = .ordinary
    ) throws(InferenceError) {
        prepareInference()
        if let fault = openvino_fault() {
            throw InferenceError(
                operation: "start OpenVINO", path: path, reason: String(cString: fault), hint: "run `make setup`")
        }
        var core: OpaquePointer?
        try check(ov_core_create(&core), "start OpenVINO", path)
        guard let core else { throw InferenceError(operation: "start OpenVINO", path: path, reason: "no core") }
        defer { openvino_stay() }
        do throws(InferenceError) {
            let compiled = try compile(path, on: core, parallelism, precision, standing: standing)
            do throws(InferenceError) {
                dimensions = try checkPorts(of: compiled, path: path)
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
        ov_compiled_model_free(compiled)
        ov_core_free(core)
    }

    /// A request with memory of its own, for one thread; as many as the parallelism allows run side by side.
    package func makeRequest() throws(InferenceError) -> InferenceRequest {
        var request: OpaquePointer?
        try check(ov_compiled_model_create_infer_request(compiled, &request), "prepare the model", path)
        guard let request else {
            throw InferenceError(operation: "prepare the model", path: path, reason: "no inference request")
        }
        return InferenceRequest(request, of: self)
    }
}

/// Makes OpenVINO safe beside another allocator than glibc's. Call it before the process has threads; a model calls it,
/// too.
///
/// OpenVINO's TBB opens hwloc with RTLD_DEEPBIND, which then frees by glibc what jemalloc allocated. TBB leaves that flag
/// out, as a program with a sanitizer needs it, when this variable is set (oneTBB, dynamic_link.cpp).
package func prepareInference() {
    if getenv("TBB_ENABLE_SANITIZERS") == nil { setenv("TBB_ENABLE_SANITIZERS", "1", 1) }
}

func check(_ status: ov_status_e, _ operation: String, _ path: String) throws(InferenceError) {
    if status != OK { throw InferenceError(operation: operation, path: path, status: status) }
}

private func compile(
    _ path: String, on core: OpaquePointer, _ parallelism: InferenceParallelism, _ precision: InferencePrecision,
    standing: ThreadPriority
) throws(InferenceError) -> OpaquePointer {
    var settings = [
        // Not pinned: OpenVINO would keep its threads on cores that other work has taken.
        ("ENABLE_CPU_PINNING", "NO"),
        // How many activations share a scale where they are quantised, which happens only beside matrices of 8 bits and on
        // processors with VNNI. Said, so that another version's choice does not move the vectors.
        ("DYNAMIC_QUANTIZATION_GROUP_SIZE", "32"),
    ]
    switch parallelism {
    case .latency(let threads):
        settings.append(("PERFORMANCE_HINT", "LATENCY"))
        if threads > 0 { settings.append(("INFERENCE_NUM_THREADS", String(threads))) }
    case .throughput(let requests):
        settings += [("NUM_STREAMS", String(requests)), ("INFERENCE_NUM_THREADS", String(requests))]
    }
    let chosen = precision == .automatic ? InferencePrecision.ofThisProcessor : precision
    if chosen != .automatic { settings.append(("INFERENCE_PRECISION_HINT", chosen.rawValue)) }
    var compiled: OpaquePointer?
    let status = standingBack(standing) {
        withProperties(settings[...], []) { properties in
            ov_core_compile_model_from_file_props(
                core, path, "CPU", properties.count, properties.baseAddress, &compiled)
        }
    }
    guard status == OK, let compiled else {
        throw InferenceError(
            operation: "load the model", path: path, status: status,
            hint: "run `make setup`, or point MODEL_DIR to a folder with model.xml and model.bin")
    }
    return compiled
}

/// Runs something on a thread that stands back behind others, and waits for it: who is not root cannot take a thread's niceness
/// away again. What the system refuses is done as it is.
private func standingBack(_ priority: ThreadPriority, _ body: () -> ov_status_e) -> ov_status_e {
    guard priority != .ordinary else { return body() }
    var status: ov_status_e?
    withoutActuallyEscaping({
        priority.take()
        status = body()
    }) { run in
        withUnsafePointer(to: run) { run in
            var thread = pthread_t()
            let code = pthread_create(
                &thread, nil,
                { run in
                    run?.assumingMemoryBound(to: (() -> Void).self).pointee()
                    return nil
                }, UnsafeMutableRawPointer(mutating: run))
            if code == 0 { pthread_join(thread, nil) }
        }
    }
    return status ?? body()
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
