/* carrier -- between the bus and stream parts: what is wanted is joined, what is published here is
 * carried away, what comes is handed to the bus. */
#include "streamr.h"

#include "intake.h"
#include "thin.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

struct carrier {
    streamr *s;
    broker_carrier calls;
    uint64_t origin;
    intake *intake;
    thin *parts;
    sb name; /* of the part at hand */
};

static pb_bytes name_of(carrier *c, broker_str stream, uint32_t partition)
{
    sb_clear(&c->name);
    stream_part_write(pb_bytes_from(stream.ptr, stream.len), partition, &c->name);
    return pb_bytes_from(c->name.data, c->name.len);
}

static void on_interest(void *self, broker_str stream, uint32_t partition, int32_t on)
{
    carrier *c = self;
    pb_bytes part = name_of(c, stream, partition);

    if (on != 0)
        thin_join(c->parts, part);
    else
        thin_leave(c->parts, part);
}

static void on_outgoing(void *self, const broker_msg *const *msgs, size_t n)
{
    carrier *c = self;

    for (size_t i = 0; i < n; i++)
        thin_publish(c->parts, name_of(c, msgs[i]->stream, msgs[i]->partition),
                     pb_bytes_from(msgs[i]->raw.ptr, msgs[i]->raw.len));
}

static void on_message(void *arg, pb_bytes part, pb_bytes raw)
{
    carrier *c = arg;
    pb_bytes stream;
    uint32_t partition;

    if (stream_part_read(part, &stream, &partition))
        intake_take(c->intake, stream, partition, raw);
}

broker_rc carrier_start(streamr *s)
{
    carrier *c = s->carrier = must_alloc(sizeof *c);
    pb_bytes proxies[SETTINGS_PROXIES];
    broker_rc rc;

    c->s = s;
    for (size_t i = 0; i < s->settings.n_proxies; i++)
        proxies[i] = pb_bytes_from(s->settings.proxies[i].descriptor.data,
                                   s->settings.proxies[i].descriptor.len);
    c->parts = thin_new(s->peers, proxies, s->settings.n_proxies, on_message, c);
    c->calls = (broker_carrier){.size = sizeof c->calls,
                                .self = c,
                                .on_interest = on_interest,
                                .on_outgoing = on_outgoing};
    rc = s->transport->attach(s->ctx, &c->calls, &c->origin);
    if (rc == BROKER_OK)
        c->intake = intake_new(s->ctx, s->bus, s->peers, c->origin);
    return rc;
}

void carrier_end(streamr *s)
{
    carrier *c = s->carrier;

    if (c == NULL)
        return;
    s->carrier = NULL;
    if (c->origin != 0)
        s->transport->detach(s->ctx, c->origin);
    thin_free(c->parts);
    intake_free(c->intake);
    sb_done(&c->name);
    free(c);
}

void carrier_parts(void *arg, pb_list *out, pb_arena *arena)
{
    (void)arg, (void)out, (void)arena;
}
