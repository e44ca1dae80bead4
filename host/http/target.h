/* target -- what a request target says: authority, path, and the names and values behind its '?'.
 * Pure. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/base.h"

#include <broker/plugin.h>

/* Of "http://AUTHORITY/path", which stands above Host (RFC 9112 3.2.2); else NULL. */
broker_str target_authority(broker_str target);
/* The path, still encoded; what is behind its '?' in *behind. */
broker_str target_path(broker_str target, broker_str *behind);

/* Names and values, decoded. */
typedef struct query {
    char **names, **values;
    size_t *lengths, n;
} query;

/* Add what the text says; what is malformed, or beyond 64 names, is left out. */
void query_parse(query *q, broker_str text);
/* The first value of the name; ptr is NULL when there is none. */
broker_str query_get(const query *q, const char *name);
void query_done(query *q);

#endif
