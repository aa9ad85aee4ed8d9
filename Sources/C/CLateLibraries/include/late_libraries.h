// Libraries that are opened when they are first called.
//
// Linked in the ordinary way, they and the dozens of libraries behind them (OpenVINO's, LDAP, Kerberos, SSH, two more
// TLS libraries) would take most of the time that a short command runs; and a machine that only keeps the lake could not
// run the program without them.
#pragma once

/// Opens OpenVINO on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *openvino_fault(void);

/// Opens libcurl on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *libcurl_fault(void);

/// Opens libpq on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *libpq_fault(void);
