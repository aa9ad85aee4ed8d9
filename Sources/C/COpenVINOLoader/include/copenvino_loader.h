// OpenVINO's C API, opened when it is first called.
//
// Linked in the ordinary way, its libraries would double the time that every short command takes to start, and a machine
// that only keeps the lake could not run the program without them.
#pragma once

/// Opens the library on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *copenvino_fault(void);
