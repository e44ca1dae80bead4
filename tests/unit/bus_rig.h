/* bus_rig -- a bus with one durable subscriber, and messages to put in. */
#ifndef TESTS_BUS_RIG_H
#define TESTS_BUS_RIG_H

#include "bus/bus.h"
#include "eth/eth.h"
#include "run/metrics.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>

#define STREAM "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/bus"

/* A bus with one durable subscriber, all on this thread but the workers. */
typedef struct rig {
    loop *loop;
    pool *pool;
    bus *bus;
    ledger ledger;
    broker_sub *sub;
    uint8_t key[32];
    size_t take; /* how many on_msgs() takes at most      */
    bool hold;   /* do not settle what is taken           */
    const broker_msg *held[64];
    size_t n_held;
    int64_t seen[512]; /* timestamps, in order of delivery      */
    size_t n_seen;
    int32_t outcomes[512];
    char reasons[512][80];
    size_t n_outcomes, wanted;
    unsigned rooms;
    size_t offered;
} rig;

static inline size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    rig *r = self;
    size_t taken = n < r->take ? n : r->take;

    r->offered += n;
    for (size_t i = 0; i < taken; i++) {
        broker_outcome stored = {BROKER_STORED, 0, NULL};

        r->seen[r->n_seen++] = msgs[i]->timestamp_ms;
        cr_assert((msgs[i]->flags & BROKER_MSG_VERIFIED) != 0);
        if (r->hold)
            r->held[r->n_held++] = msgs[i];
        else
            bus_settle(r->sub, &msgs[i], &stored, 1);
    }
    return taken;
}

static inline void on_done(void *arg, const broker_outcome *outcomes, size_t n)
{
    rig *r = arg;

    for (size_t i = 0; i < n; i++) {
        snprintf(r->reasons[r->n_outcomes], sizeof r->reasons[0], "%s",
                 outcomes[i].reason != NULL ? outcomes[i].reason : "");
        r->outcomes[r->n_outcomes++] = outcomes[i].code;
    }
    if (r->n_outcomes >= r->wanted)
        loop_stop(r->loop);
}

static inline void on_room(void *arg)
{
    rig *r = arg;

    r->rooms++;
}

static inline void rig_begin(rig *r, size_t max_messages, uint32_t flags, publish_policy publish)
{
    broker_subscription want = {
        .size = sizeof want,
        .flags = flags,
        .stream = {STREAM, strlen(STREAM)},
        .partition = BROKER_ALL_PARTITIONS,
        .on_msgs = on_msgs,
        .self = r,
    };
    bus_options options = {
        .policy = {.publish = publish, .max_future_skew_ms = 900000},
        .key = r->key,
        .max_bytes = 1 << 20,
        .max_messages = max_messages,
    };

    memset(r, 0, sizeof *r);
    memset(r->key, 0x11, sizeof r->key);
    r->take = SIZE_MAX;
    r->ledger.name = "rig";
    r->loop = loop_new();
    r->pool = pool_new(r->loop, 2);
    r->bus = bus_new(r->loop, r->pool, &options);
    if (flags != UINT32_MAX)
        cr_assert_eq(bus_subscribe(r->bus, &r->ledger, &want, &r->sub), BROKER_OK);
}

static inline void rig_start(rig *r, size_t max_messages, uint32_t flags)
{
    rig_begin(r, max_messages, flags, PUBLISH_OPEN);
}

static inline void rig_stop(rig *r)
{
    bus_forget(r->bus, &r->ledger);
    while (!bus_is_idle(r->bus))
        uv_run(loop_uv(r->loop), UV_RUN_ONCE);
    cr_assert(ledger_is_clear(&r->ledger));
    pool_free(r->pool);
    uv_run(loop_uv(r->loop), UV_RUN_NOWAIT);
    bus_free(r->bus);
    loop_free(r->loop);
    metrics_free_all();
}

/* A signed message, appended to out. */
static inline void make(int64_t timestamp_ms, const char *content, sb *out)
{
    uint8_t key[32], pub[64], address[20], sig[65];
    broker_msg m = {
        .size = sizeof m,
        .stream = {STREAM, strlen(STREAM)},
        .timestamp_ms = timestamp_ms,
        .publisher = {address, 20},
        .chain = {"c", 1},
        .content = {(const uint8_t *)content, strlen(content)},
        .body = BROKER_BODY_CONTENT,
        .signature_type = BROKER_SIGNATURE_SECP256K1,
    };

    memset(key, 0x11, sizeof key);
    cr_assert(eth_key_public(key, pub));
    eth_address_of(pub, address);
    streamr_sign(&m, key, sig);
    streamr_encode(&m, out);
}

static inline broker_rc admit(rig *r, const sb *raws, size_t n)
{
    broker_frame frames[300];
    broker_admission what = {
        .size = sizeof what,
        .frames = frames,
        .n = n,
        .only_partition = BROKER_ALL_PARTITIONS,
        .done = on_done,
        .arg = r,
    };

    for (size_t i = 0; i < n; i++)
        frames[i] = (broker_frame){{(const uint8_t *)raws[i].data, raws[i].len}, NULL};
    return bus_admit(r->bus, &r->ledger, &what);
}

#endif
