/* trouble -- what goes wrong for clients: each time counted, once a minute said. [loop] */
#ifndef WEBSOCKET_TROUBLE_H
#define WEBSOCKET_TROUBLE_H

#include "base/base.h"

#include <broker/plugin.h>

typedef enum trouble_kind {
    TROUBLE_TARGET,     /* a request for something there is not       */
    TROUBLE_KEY,        /* no API key, or a wrong one                 */
    TROUBLE_PAYLOAD,    /* published: not a content                   */
    TROUBLE_REJECTED,   /* published: refused by the bus or the store */
    TROUBLE_FAILED,     /* published: our side failed                 */
    TROUBLE_SLOW,       /* a subscriber was too far behind            */
    TROUBLE_MEMORY,     /* a subscriber was closed for want of memory */
    TROUBLE_LOST,       /* a subscriber has gone, or the host cut it  */
    TROUBLE_ENCRYPTED,  /* not for subscribers: nobody here can read  */
    TROUBLE_NOT_OBJECT, /* not for subscribers: an array or a scalar  */
    TROUBLE_KINDS
} trouble_kind;

typedef struct trouble {
    broker_ctx *ctx;
    const broker_metrics *metrics;
    const broker_work *work;
    struct {
        broker_metric *count;
        uint64_t said_ms; /* 0: never */
        uint64_t unsaid;  /* since then */
    } kinds[TROUBLE_KINDS];
} trouble;

broker_rc trouble_init(trouble *t, broker_ctx *ctx, const broker_metrics *metrics,
                       const broker_work *work);
void trouble_say(trouble *t, trouble_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
