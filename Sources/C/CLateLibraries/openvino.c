#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "late.h"
#include "late_libraries.h"

#include <link.h>
#include <openvino/c/openvino.h>
#include <stdlib.h>
#include <string.h>

// Found by the program's own run path, see Package.swift, or where the system keeps libraries.
LATE_LIBRARY(openvino_fault, "libopenvino_c.so")

// Without the library, calls fail and functions that free have nothing to free.
#define CALL(name, parameters, arguments) FORWARD(ov_status_e, name, return GENERAL_ERROR, parameters, arguments)
#define FREE(name, type) FORWARD(void, name, return, (type * value), (value))
#define TEXT(name, parameters, arguments) FORWARD(const char *, name, return NULL, parameters, arguments)

TEXT(ov_get_error_info, (ov_status_e status), (status))
TEXT(ov_get_last_err_msg, (void), ())
CALL(ov_get_openvino_version, (ov_version_t * version), (version))
CALL(ov_core_create, (ov_core_t * *core), (core))
CALL(ov_core_compile_model_from_file_props,
     (const ov_core_t *core, const char *model_path, const char *device_name, const size_t num_properties,
      const ov_property_t *properties, ov_compiled_model_t **compiled_model),
     (core, model_path, device_name, num_properties, properties, compiled_model))
CALL(ov_compiled_model_create_infer_request,
     (const ov_compiled_model_t *compiled_model, ov_infer_request_t **infer_request), (compiled_model, infer_request))
CALL(ov_compiled_model_output, (const ov_compiled_model_t *compiled_model, ov_output_const_port_t **output_port),
     (compiled_model, output_port))
CALL(ov_compiled_model_input_by_name,
     (const ov_compiled_model_t *compiled_model, const char *name, ov_output_const_port_t **input_port),
     (compiled_model, name, input_port))
CALL(ov_port_get_element_type, (const ov_output_const_port_t *port, ov_element_type_e *tensor_type),
     (port, tensor_type))
CALL(ov_port_get_partial_shape, (const ov_output_const_port_t *port, ov_partial_shape_t *partial_shape),
     (port, partial_shape))
CALL(ov_tensor_create, (const ov_element_type_e type, const ov_shape_t shape, ov_tensor_t **tensor),
     (type, shape, tensor))
CALL(ov_tensor_data, (const ov_tensor_t *tensor, void **data), (tensor, data))
CALL(ov_tensor_get_size, (const ov_tensor_t *tensor, size_t *elements_size), (tensor, elements_size))
CALL(ov_infer_request_set_tensor,
     (ov_infer_request_t * infer_request, const char *tensor_name, const ov_tensor_t *tensor),
     (infer_request, tensor_name, tensor))
CALL(ov_infer_request_get_output_tensor, (const ov_infer_request_t *infer_request, ov_tensor_t **tensor),
     (infer_request, tensor))
CALL(ov_infer_request_infer, (ov_infer_request_t * infer_request), (infer_request))
FREE(ov_core_free, ov_core_t)
FREE(ov_compiled_model_free, ov_compiled_model_t)
FREE(ov_infer_request_free, ov_infer_request_t)
FREE(ov_output_const_port_free, ov_output_const_port_t)
FREE(ov_partial_shape_free, ov_partial_shape_t)
FREE(ov_tensor_free, ov_tensor_t)
FREE(ov_version_free, ov_version_t)

struct names {
    int count;
    char paths[64][512];
};

static int collect(struct dl_phdr_info *info, size_t size, void *into) {
    (void)size;
    struct names *names = into;
    const char *path = info->dlpi_name;
    const int is_ours = path != NULL && (strstr(path, "openvino") != NULL || strstr(path, "libtbb") != NULL);
    if (is_ours && names->count < 64 && strlen(path) < sizeof names->paths[0]) {
        strcpy(names->paths[names->count++], path);
    }
    return 0;
}

void openvino_stay(void) {
    // On the heap: threads of the concurrency runtime have small stacks. And opened behind the walk, which holds the loader's lock.
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL) return;
    dl_iterate_phdr(collect, names);
    for (int place = 0; place < names->count; place++) {
        void *handle = dlopen(names->paths[place], RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        if (handle != NULL) dlclose(handle);
    }
    free(names);
}
