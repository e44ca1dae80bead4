/* query -- the parameters of a query, read as the specs say. Pure.
 *
 * /stores: spec "Log Store node" 1.1. /streams: "Streamr storage API" 1.8. */
#ifndef LOGSTORE_QUERY_H
#define LOGSTORE_QUERY_H

#include "store.h"

typedef enum query_kind { QUERY_FIRST, QUERY_LAST, QUERY_RANGE } query_kind;
typedef enum query_form { FORM_OBJECT, FORM_RAW } query_form;

typedef struct query {
    bool streams; /* /streams, not /stores */
    query_kind kind;
    query_form form;
    uint64_t count; /* of FIRST and LAST */
    range range;    /* publisher points to publisher_bytes */
    uint8_t publisher_bytes[2600];
    bool nothing; /* a publisher nobody can be: the answer is empty */
    bool limited;
    uint64_t limit;
} query;

/* A parameter by name; ptr NULL: absent. */
typedef broker_str (*query_param)(void *arg, const char *name);

/* 0, or the HTTP status and the text of the error in *why. kind is the last path segment. */
unsigned query_parse(bool streams, broker_str kind, query_param param, void *arg, query *out,
                     sb *why);

#endif
