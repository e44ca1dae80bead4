/* endpoint -- one server of JSON-RPC as we find it: whether it may be asked now. Pure; times are
 * monotonic milliseconds. */
#ifndef CHAIN_ENDPOINT_H
#define CHAIN_ENDPOINT_H

#include "base/base.h"

#define ENDPOINT_PAUSE_MS     500u   /* after the first failure; doubles */
#define ENDPOINT_PAUSE_MAX_MS 60000u /* also of what it asks for itself  */

typedef struct endpoint {
    char *url;
    char *name;         /* scheme and host: the rest may be a key */
    bool known;         /* it said that it serves the chain       */
    bool no_batches;    /* it does not understand them            */
    unsigned failures;  /* in a row                               */
    uint64_t pause_end; /* it is left alone until then            */
    size_t requests;    /* under way                              */
    bool checking;      /* one of them asks for its chain         */
} endpoint;

void endpoint_init(endpoint *e, const char *url);
void endpoint_done(endpoint *e);
bool endpoint_is_usable(const endpoint *e, uint64_t now);
/* It failed; retry_s is what it asked for, 0 when nothing. Failures that come together count as
 * one. */
void endpoint_failed(endpoint *e, uint64_t now, uint32_t retry_s);
void endpoint_answered(endpoint *e);

#endif
