/* past -- see past.h. */
#include "past.h"

#include <string.h>

#define STREAM_MAX 65536u

void past_done(past *p)
{
    for (size_t i = 0; i < p->n_events; i++)
        free(p->events[i].stream);
    free(p->events);
    *p = (past){.events = NULL};
}

void past_add_range(past *p, const past_range *r)
{
    if (p->n_ranges == PAST_RANGES)
        memmove(p->ranges, p->ranges + 1, --p->n_ranges * sizeof *r);
    p->ranges[p->n_ranges++] = *r;
}

void past_add_event(past *p, const past_event *e)
{
    if (p->events == NULL)
        p->events = must_alloc(PAST_EVENTS * sizeof *p->events);
    if (p->n_events == PAST_EVENTS) {
        free(p->events[0].stream);
        memmove(p->events, p->events + 1, --p->n_events * sizeof *e);
    }
    p->events[p->n_events] = *e;
    p->events[p->n_events++].stream = must_strndup(e->stream, e->stream_len);
}

const past_range *past_last(const past *p)
{
    return p->n_ranges != 0 ? &p->ranges[p->n_ranges - 1] : NULL;
}

void past_drop_range(past *p)
{
    must(p->n_ranges != 0);
    p->n_ranges--;
}

bool past_take_event(past *p, uint64_t from, past_event *out)
{
    if (p->n_events == 0 || p->events[p->n_events - 1].block < from)
        return false;
    *out = p->events[--p->n_events];
    return true;
}

/* ---- from build to build: big-endian, counts before lists ---- */

static void put_u64(sb *out, uint64_t x)
{
    uint8_t bytes[8];

    put_u64be(bytes, x);
    sb_append(out, bytes, sizeof bytes);
}

void past_save(const past *p, sb *out)
{
    put_u64(out, p->n_ranges);
    for (size_t i = 0; i < p->n_ranges; i++) {
        put_u64(out, p->ranges[i].from);
        put_u64(out, p->ranges[i].to);
        sb_append(out, p->ranges[i].hash, sizeof p->ranges[i].hash);
    }
    put_u64(out, p->n_events);
    for (size_t i = 0; i < p->n_events; i++) {
        const past_event *e = &p->events[i];

        put_u64(out, e->block);
        sb_append(out, e->node, sizeof e->node);
        sb_putc(out, e->added ? 1 : 0);
        put_u64(out, e->stream_len);
        sb_append(out, e->stream, e->stream_len);
    }
}

static bool range_load(past *p, view *in)
{
    past_range r;

    if (!view_u64be(in, &r.from) || !view_u64be(in, &r.to) ||
        !view_read(in, r.hash, sizeof r.hash) || r.from > r.to)
        return false;
    past_add_range(p, &r);
    return true;
}

static bool event_load(past *p, view *in)
{
    past_event e;
    uint64_t len;
    uint8_t added;
    const uint8_t *stream;

    if (!view_u64be(in, &e.block) || !view_read(in, e.node, sizeof e.node) ||
        !view_u8(in, &added) || added > 1 || !view_u64be(in, &len) || len > STREAM_MAX ||
        !view_skip(in, (size_t)len, &stream))
        return false;
    e.added = added == 1;
    e.stream = (char *)stream;
    e.stream_len = (size_t)len;
    past_add_event(p, &e);
    return true;
}

bool past_load(past *p, view *in)
{
    uint64_t n;
    bool ok = view_u64be(in, &n) && n <= PAST_RANGES;

    for (uint64_t i = 0; ok && i < n; i++)
        ok = range_load(p, in);
    ok = ok && view_u64be(in, &n) && n <= PAST_EVENTS;
    for (uint64_t i = 0; ok && i < n; i++)
        ok = event_load(p, in);
    return ok;
}
