#include "late.h"
#include "late_libraries.h"

#include <postgresql/libpq-fe.h>

LATE_LIBRARY(libpq_fault, "libpq.so.5")

// Without the library a connection string cannot be read and no connection begins, so what takes one, or a result of
// one, is never called; and what frees has nothing to free.
#define CONNECTION(result, name, absent) FORWARD(result, name, return absent, (PGconn * connection), (connection))
#define OF_CONNECTION(result, name, absent) \
    FORWARD(result, name, return absent, (const PGconn *connection), (connection))
#define OF_RESULT(result, name, absent) FORWARD(result, name, return absent, (const PGresult *rows), (rows))
#define OF_VALUE(result, name, absent) \
    FORWARD(result, name, return absent, (const PGresult *rows, int row, int column), (rows, row, column))

FORWARD(PQconninfoOption *, PQconninfoParse, return NULL, (const char *text, char **message), (text, message))
FORWARD(void, PQconninfoFree, return, (PQconninfoOption * options), (options))
FORWARD(PGconn *, PQconnectStartParams, return NULL,
        (const char *const *keywords, const char *const *values, int expands), (keywords, values, expands))
CONNECTION(PostgresPollingStatusType, PQconnectPoll, PGRES_POLLING_FAILED)
FORWARD(void, PQfinish, return, (PGconn * connection), (connection))
OF_CONNECTION(ConnStatusType, PQstatus, CONNECTION_BAD)
OF_CONNECTION(PGTransactionStatusType, PQtransactionStatus, PQTRANS_UNKNOWN)
OF_CONNECTION(char *, PQerrorMessage, NULL)
OF_CONNECTION(int, PQsocket, -1)
OF_CONNECTION(int, PQbackendPID, 0)
FORWARD(const char *, PQparameterStatus, return NULL, (const PGconn *connection, const char *name), (connection, name))
FORWARD(int, PQsetnonblocking, return -1, (PGconn * connection, int value), (connection, value))
FORWARD(PQnoticeReceiver, PQsetNoticeReceiver, return NULL,
        (PGconn * connection, PQnoticeReceiver receiver, void *context), (connection, receiver, context))
CONNECTION(int, PQenterPipelineMode, 0)
CONNECTION(int, PQexitPipelineMode, 0)
CONNECTION(int, PQpipelineSync, 0)
FORWARD(int, PQsendQuery, return 0, (PGconn * connection, const char *text), (connection, text))
FORWARD(int, PQsendPrepare, return 0,
        (PGconn * connection, const char *name, const char *text, int count, const Oid *types),
        (connection, name, text, count, types))
FORWARD(int, PQsendQueryPrepared, return 0,
        (PGconn * connection, const char *name, int count, const char *const *values, const int *lengths,
         const int *formats, int result_format),
        (connection, name, count, values, lengths, formats, result_format))
CONNECTION(int, PQflush, -1)
CONNECTION(int, PQconsumeInput, 0)
CONNECTION(int, PQisBusy, 0)
CONNECTION(PGresult *, PQgetResult, NULL)
CONNECTION(PGnotify *, PQnotifies, NULL)
CONNECTION(PGcancel *, PQgetCancel, NULL)
FORWARD(int, PQcancel, return 0, (PGcancel * cancel, char *text, int size), (cancel, text, size))
FORWARD(void, PQfreeCancel, return, (PGcancel * cancel), (cancel))
FORWARD(int, PQgetCopyData, return -2, (PGconn * connection, char **buffer, int async), (connection, buffer, async))
FORWARD(int, PQputCopyData, return -1, (PGconn * connection, const char *buffer, int count),
        (connection, buffer, count))
FORWARD(void, PQfreemem, return, (void *memory), (memory))
FORWARD(void, PQclear, return, (PGresult * rows), (rows))
OF_RESULT(ExecStatusType, PQresultStatus, PGRES_FATAL_ERROR)
OF_RESULT(char *, PQresultErrorMessage, NULL)
FORWARD(char *, PQresultErrorField, return NULL, (const PGresult *rows, int code), (rows, code))
OF_RESULT(int, PQntuples, 0)
OF_RESULT(int, PQnfields, 0)
FORWARD(char *, PQcmdTuples, return NULL, (PGresult * rows), (rows))
FORWARD(Oid, PQftype, return 0, (const PGresult *rows, int column), (rows, column))
OF_VALUE(int, PQgetisnull, 1)
OF_VALUE(int, PQgetlength, 0)
OF_VALUE(char *, PQgetvalue, NULL)
