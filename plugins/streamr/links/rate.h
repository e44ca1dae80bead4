/* rate -- how much a peer may send a second: a token bucket that holds one second's worth.
 *
 * A peer that has used it up is not read until it is filled again; nothing is dropped. [any] */
#ifndef STREAMR_LINKS_RATE_H
#define STREAMR_LINKS_RATE_H

#include "base/base.h"

/* A frame costs one token, and one more for each of these bytes. */
#define RATE_BYTES 4096u

typedef struct rate {
    int64_t tokens;
    uint64_t filled_ms;
} rate;

static inline void rate_init(rate *r, uint32_t per_s, uint64_t now_ms)
{
    *r = (rate){per_s, now_ms};
}
static inline void rate_fill(rate *r, uint32_t per_s, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > r->filled_ms ? now_ms - r->filled_ms : 0;
    int64_t more = (int64_t)((passed_ms < 1000 ? passed_ms : 1000) * per_s / 1000);

    if (more == 0)
        return; /* what is less than a token is not lost */
    r->filled_ms = now_ms;
    r->tokens = r->tokens + more < (int64_t)per_s ? r->tokens + more : (int64_t)per_s;
}
/* False: it was the last for now. */
static inline bool rate_take(rate *r, size_t bytes)
{
    r->tokens -= 1 + (int64_t)(bytes / RATE_BYTES);
    return r->tokens > 0;
}

#endif
