/* carry -- transports: what they are told to fetch, and what they carry away. */
#include "bus/parts.h"

static void tell(carrier *c, broker_str stream, uint32_t partition, int32_t on)
{
    if (c->calls->on_interest != NULL && !c->vacant)
        CROSS(c->owner, "on_interest",
              c->calls->on_interest(c->calls->self, stream, partition, on));
}

static void interest_change(bus *b, broker_str stream, uint32_t partition, bool on)
{
    uint64_t hash = hash_bytes(stream.ptr, stream.len) + partition;
    interest **at = &b->interests[hash % INTEREST_SLOTS];
    interest *i;
    carrier *c;

    while (*at != NULL && ((*at)->partition != partition || (*at)->stream_len != stream.len ||
                           memcmp((*at)->stream, stream.ptr, stream.len) != 0))
        at = &(*at)->next;
    i = *at;
    if (on) {
        if (i == NULL) {
            *at = i = must_alloc(sizeof *i);
            i->stream = must_strndup(stream.ptr, stream.len);
            i->stream_len = stream.len;
            i->partition = partition;
        }
        if (i->count++ == 0)
            for (c = b->carriers; c != NULL; c = c->next)
                tell(c, stream, partition, 1);
        return;
    }
    must(i != NULL);
    if (--i->count != 0)
        return;
    for (c = b->carriers; c != NULL; c = c->next)
        tell(c, stream, partition, 0);
    *at = i->next;
    free(i->stream);
    free(i);
}

void carry_interest(bus *b, broker_sub *s, bool on)
{
    const topic_entry *e = &s->topic;
    broker_str stream = {e->pattern, e->pattern_len};

    if (!e->exact)
        return;
    if (e->partition != BROKER_ALL_PARTITIONS) {
        interest_change(b, stream, e->partition, on);
        return;
    }
    if (on) {
        s->interests = bus_partitions(b, stream);
        s->interests += s->interests == 0;
    }
    for (uint32_t p = 0; p < s->interests; p++)
        interest_change(b, stream, p, on);
}

static void interests_tell(bus *b, carrier *c)
{
    for (size_t slot = 0; slot < INTEREST_SLOTS; slot++)
        for (const interest *i = b->interests[slot]; i != NULL; i = i->next)
            tell(c, (broker_str){i->stream, i->stream_len}, i->partition, 1);
}

broker_rc bus_attach(bus *b, ledger *owner, const broker_carrier *calls, uint64_t *origin)
{
    carrier *c;

    for (c = b->carriers; c != NULL; c = c->next)
        if (c->vacant && strcmp(c->owner->name, owner->name) == 0)
            break;
    if (c == NULL) {
        c = must_alloc(sizeof *c);
        *c = (carrier){.next = b->carriers, .origin = b->next_origin++};
        b->carriers = c;
    }
    c->owner = owner;
    c->calls = calls;
    c->vacant = false;
    *origin = c->origin;
    interests_tell(b, c);
    return BROKER_OK;
}

static void kept_drop(carrier *c)
{
    for (size_t i = 0; i < c->n_kept; i++)
        msg_release(c->kept[i]);
    free(c->kept);
    c->kept = NULL;
    c->n_kept = 0;
}

static void keep(carrier *c, const broker_msg *const *msgs, size_t n)
{
    if (c->kept == NULL)
        c->kept = must_alloc(CARRIER_KEPT_MAX * sizeof *c->kept);
    for (size_t i = 0; i < n && c->n_kept < CARRIER_KEPT_MAX; i++) {
        msg_retain(msgs[i]);
        c->kept[c->n_kept++] = msgs[i];
    }
}

void bus_detach(bus *b, uint64_t origin)
{
    for (carrier **at = &b->carriers; *at != NULL; at = &(*at)->next) {
        carrier *c = *at;

        if (c->origin != origin)
            continue;
        if (c->parked) {
            c->vacant = true;
            return;
        }
        *at = c->next;
        kept_drop(c);
        free(c);
        return;
    }
}

void carry(bus *b, const broker_msg *const *msgs, size_t count)
{
    const broker_msg *out[BATCH_MAX];

    must(count <= BATCH_MAX);
    for (carrier *c = b->carriers, *next; c != NULL; c = next) {
        size_t n = 0;

        next = c->next;
        for (size_t i = 0; i < count; i++)
            if (msgs[i]->origin != c->origin)
                out[n++] = msgs[i];
        if (n != 0 && c->parked)
            keep(c, out, n);
        else if (n != 0)
            CROSS(c->owner, "on_outgoing", c->calls->on_outgoing(c->calls->self, out, n));
    }
}

/* ---- across a swap ---- */

void carry_park(bus *b, const ledger *owner)
{
    for (carrier *c = b->carriers; c != NULL; c = c->next)
        c->parked |= c->owner == owner;
}

void carry_vacate(bus *b, const ledger *owner, ledger *keeper)
{
    for (carrier *c = b->carriers; c != NULL; c = c->next)
        if (c->owner == owner) {
            c->parked = c->vacant = true;
            c->owner = keeper;
        }
}

void carry_go_on(bus *b, const char *name)
{
    for (carrier *c = b->carriers, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->parked || strcmp(c->owner->name, name) != 0)
            continue;
        c->parked = false;
        if (c->vacant) {
            bus_detach(b, c->origin);
            continue;
        }
        if (c->n_kept != 0)
            CROSS(c->owner, "on_outgoing",
                  c->calls->on_outgoing(c->calls->self, c->kept, c->n_kept));
        kept_drop(c);
    }
}
