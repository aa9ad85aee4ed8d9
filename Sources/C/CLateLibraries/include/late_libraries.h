// Libraries that are opened when they are first called.
//
// Linked in the ordinary way, they and the dozens of libraries behind them (OpenVINO's, LDAP, Kerberos, SSH, two more
// TLS libraries) would take most of the time that a short command runs; and a machine that only keeps the lake could not
// run the program without them.
#pragma once

/// Opens OpenVINO on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *openvino_fault(void);

/// Keeps what is loaded of OpenVINO, its plugins among it, in the process for good.
///
/// OpenVINO unloads plugins when the last core goes and when the process exits. Their thread-specific values are destroyed by
/// their code when a thread ends that has run it, which may be later: a jump to where nothing is any more.
void openvino_stay(void);

/// Opens libcurl on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *libcurl_fault(void);

/// Opens libpq on the first call. NULL when it is there; else why it is not, in the loader's words.
const char *libpq_fault(void);
