/* carrier -- between the bus and stream parts: what is wanted is joined, what is published here is
 * carried away, what comes is handed to the bus.
 *
 * A part is joined while somebody here wants it, and for a while after each message published to
 * it. Those that the settings say are relayed are joined all the time; what comes in them is handed
 * to the bus only while somebody wants it. */
#include "streamr_plugin.h"

#include "delivery/delivery.h"
#include "intake.h"
#include "streamr_parts.h"

#include "streamr/streamr.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

#define BUCKETS        1024u
#define PARTS_MAX      10000u
#define LINGER_MS      300000 /* a part nobody wants stays joined after a message of ours */
#define TICK_MS        5000u
#define PROXIES_A_PART SETTINGS_PROXIES

typedef struct part {
    struct part *next;
    uint64_t hash;
    bool wanted, relayed;
    int64_t used_ms; /* last published to */
    size_t len;
    char name[];
} part;

struct carrier {
    streamr *s;
    broker_carrier calls;
    uint64_t origin;
    bool attached;
    intake *intake;
    delivery *delivery;
    delivery_source source;
    part *parts[BUCKETS];
    size_t n_parts;
    peers_timer *timer;
    uint8_t user[20]; /* for whom proxies are asked */
    sb name;          /* of the part at hand */
    int64_t unsent_said_ms;
    uint64_t unsent, refused;
};

/* The bus, for what is called with a message alone; one carrier a build. */
static const broker_bus *bus;

/* ---- parts ---- */

static pb_bytes name_of(carrier *c, broker_str stream, uint32_t partition)
{
    sb_clear(&c->name);
    stream_part_write(pb_bytes_from(stream.ptr, stream.len), partition, &c->name);
    return pb_bytes_from(c->name.data, c->name.len);
}

static part **part_at(carrier *c, pb_bytes name)
{
    uint64_t hash = hash_bytes(name.ptr, name.len);
    part **at = &c->parts[hash % BUCKETS];

    while (*at != NULL && ((*at)->hash != hash || (*at)->len != name.len ||
                           memcmp((*at)->name, name.ptr, name.len) != 0))
        at = &(*at)->next;
    return at;
}

static bool proxy_serves(const settings_proxy *p, pb_bytes part_name)
{
    const char *text = (const char *)part_name.ptr;
    const char *hash = memrchr(text, '#', part_name.len);

    for (size_t i = 0; i < p->n_streams; i++) {
        const char *pattern = p->streams[i];
        size_t len = strlen(pattern);

        if (streamr_stream_matches(pattern, len, text, part_name.len) ||
            (hash != NULL && streamr_stream_matches(pattern, len, text, (size_t)(hash - text))))
            return true;
    }
    return p->n_streams == 0;
}

/* The proxies of a part, and the direction all of them share. */
static void proxies_of(const carrier *c, pb_bytes name, pb_bytes list[PROXIES_A_PART],
                       delivery_proxied *out)
{
    const settings *o = &c->s->settings;
    bool publish = false, subscribe = false;

    for (size_t i = 0; i < o->n_proxies; i++) {
        const settings_proxy *p = &o->proxies[i];

        if (!proxy_serves(p, name))
            continue;
        list[out->n++] = pb_bytes_from(p->descriptor.data, p->descriptor.len);
        publish |= p->publish;
        subscribe |= p->subscribe;
    }
    out->proxies = list;
    out->one_way = publish != subscribe;
    out->direction = publish ? NETWORK_PUBLISH : NETWORK_SUBSCRIBE;
    out->user_id = pb_bytes_from(c->user, sizeof c->user);
}

static const char *part_join(carrier *c, pb_bytes name)
{
    pb_bytes list[PROXIES_A_PART];
    delivery_proxied proxied = {.n = 0};

    proxies_of(c, name, list, &proxied);
    if (proxied.n == 0)
        control_join(c->s->control, name);
    return delivery_join(c->delivery, name, proxied.n != 0 ? &proxied : NULL);
}

static part *part_need(carrier *c, pb_bytes name)
{
    part **at = part_at(c, name), *p = *at;
    const char *why;

    if (p != NULL)
        return p;
    why = c->n_parts < PARTS_MAX ? part_join(c, name) : "there are too many";
    if (why != NULL) {
        broker_logf(c->s->ctx, BROKER_LOG_WARN, "cannot join stream part '%.*s': %s", (int)name.len,
                    (const char *)name.ptr, why);
        return NULL;
    }
    p = must_alloc(sizeof *p + name.len);
    p->hash = hash_bytes(name.ptr, name.len);
    p->len = name.len;
    memcpy(p->name, name.ptr, name.len);
    *at = p;
    c->n_parts++;
    return p;
}

static void part_drop(carrier *c, part **at)
{
    part *p = *at;

    *at = p->next;
    c->n_parts--;
    delivery_leave(c->delivery, pb_bytes_from(p->name, p->len));
    control_leave(c->s->control, pb_bytes_from(p->name, p->len));
    free(p);
}

/* ---- the bus's side ---- */

static void on_interest(void *self, broker_str stream, uint32_t partition, int32_t on)
{
    carrier *c = self;
    pb_bytes name = name_of(c, stream, partition);
    part **at = part_at(c, name), *p = on != 0 ? part_need(c, name) : *at;

    if (p == NULL)
        return;
    p->wanted = on != 0;
    if (!p->wanted && !p->relayed && p->used_ms == 0)
        part_drop(c, part_at(c, name));
}

static void msg_retain(void *owner)
{
    bus->retain(owner);
}

static void msg_release(void *owner)
{
    bus->release(owner);
}

static void unsent_say(carrier *c, const char *why)
{
    int64_t now_ms = peers_now_ms(c->s->peers);

    if (c->unsent_said_ms != 0 && now_ms - c->unsent_said_ms < STREAMR_SAY_MS)
        return;
    c->unsent_said_ms = now_ms;
    broker_logf(c->s->ctx, BROKER_LOG_WARN, "messages published here do not leave: %s", why);
}

static void carry_one(carrier *c, const broker_msg *m)
{
    pb_bytes name = name_of(c, m->stream, m->partition);
    part *p = part_need(c, name);
    delivery_bytes bytes = {.bytes = {m->raw.ptr, m->raw.len},
                            .owner = (void *)(uintptr_t)m,
                            .retain = msg_retain,
                            .release = msg_release};
    const char *why = "its stream part cannot be joined";

    if (p != NULL) {
        p->used_ms = peers_now_ms(c->s->peers);
        if (delivery_publish(c->delivery, name, &bytes, &why) != DELIVERY_REFUSED)
            return;
    }
    c->refused++;
    unsent_say(c, why);
}

static void on_outgoing(void *self, const broker_msg *const *msgs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        carry_one(self, msgs[i]);
}

/* ---- the network's side ---- */

static void on_message(void *arg, pb_bytes name, pb_bytes message, const peers_from *from)
{
    carrier *c = arg;
    const part *p = c->s->settings.n_relayed != 0 ? *part_at(c, name) : NULL;

    if (p != NULL && p->relayed && !p->wanted)
        return;
    intake_take(c->intake, from != NULL ? from->buf : NULL, message);
}

static void on_unsent(void *arg, pb_bytes name, pb_bytes message)
{
    carrier *c = arg;

    (void)name, (void)message;
    c->unsent++;
    unsent_say(c, "nobody in its stream part is reached");
}

static void on_log(void *arg, delivery_level level, const char *line)
{
    carrier *c = arg;

    c->s->ctx->host->log(c->s->ctx,
                         level == DELIVERY_WARN   ? BROKER_LOG_WARN
                         : level == DELIVERY_INFO ? BROKER_LOG_INFO
                                                  : BROKER_LOG_DEBUG,
                         line);
}

static bool find(void *arg, const node_id *key,
                 void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n),
                 void *ctx)
{
    carrier *c = arg;

    return entry_fetch(c->s->entry, key, found, ctx);
}

static void cancel(void *arg, const void *ctx)
{
    carrier *c = arg;

    entry_cancel(c->s->entry, ctx);
}

static void announce(void *arg, const node_id *key)
{
    carrier *c = arg;

    entry_announce(c->s->entry, key);
}

/* ---- time ---- */

static void on_tick(void *arg)
{
    carrier *c = arg;
    int64_t now_ms = peers_now_ms(c->s->peers);

    for (size_t i = 0; i < BUCKETS; i++)
        for (part **at = &c->parts[i]; *at != NULL;) {
            if (!(*at)->wanted && !(*at)->relayed && now_ms - (*at)->used_ms >= LINGER_MS)
                part_drop(c, at);
            else
                at = &(*at)->next;
        }
}

/* ---- showing ---- */

typedef struct showing {
    pb_list *out;
    pb_arena *arena;
} showing;

static dht_peer *show_peer(pb_bytes descriptor, pb_arena *arena)
{
    dht_peer *peer = pb_alloc(arena, sizeof *peer);

    if (peer == NULL ||
        pb_decode(&dht_peer_table, peer, descriptor.ptr, descriptor.len, arena) != NULL)
        return NULL;
    return peer;
}

static void show_neighbor(const delivery_neighbor *n, pb_list *out, pb_arena *arena)
{
    network_neighbor_info *info = pb_alloc(arena, sizeof *info), **slot;
    dht_peer *peer = show_peer(n->descriptor, arena);

    if (info == NULL || peer == NULL || (slot = pb_push(arena, out, sizeof *slot)) == NULL)
        return;
    info->peer = peer;
    if (n->rtt_ms >= 0) {
        info->rtt_ms = n->rtt_ms;
        pb_set(&network_neighbor_info_table, info, 2);
    }
    *slot = info;
}

static void show_part(void *ctx, const delivery_part_info *what)
{
    showing *to = ctx;
    network_part_info *info = pb_alloc(to->arena, sizeof *info), **slot;
    uint8_t *name = pb_alloc(to->arena, what->part.len);

    if (info == NULL || name == NULL || (slot = pb_push(to->arena, to->out, sizeof *slot)) == NULL)
        return;
    memcpy(name, what->part.ptr, what->part.len);
    info->stream_part = pb_bytes_from(name, what->part.len);
    for (size_t i = 0; i < what->n_neighbors; i++)
        show_neighbor(&what->neighbors[i], &info->content_neighbors, to->arena);
    *slot = info;
}

void carrier_parts(void *arg, pb_list *out, pb_arena *arena)
{
    streamr *s = arg;
    showing to = {out, arena};

    if (s->carrier != NULL)
        delivery_each(s->carrier->delivery, show_part, &to);
}

void carrier_contact(void *arg, pb_bytes name, pb_bytes descriptor)
{
    streamr *s = arg;

    if (s->carrier != NULL && s->carrier->delivery != NULL)
        delivery_suggest(s->carrier->delivery, name, &descriptor, 1);
}

void carrier_counted(const streamr *s, carrier_counts *out)
{
    const carrier *c = s->carrier;

    if (c == NULL)
        return; /* as it was */
    out->delivery = *delivery_counted(c->delivery);
    out->intake = *intake_counted(c->intake);
    out->refused = c->refused;
    out->parts = c->n_parts;
}

/* ---- for other plugins ---- */

static int32_t neighbors(void *self, broker_str stream, uint32_t partition)
{
    const streamr *s = self;
    pb_bytes name;

    if (s->carrier == NULL)
        return -1;
    name = name_of(s->carrier, stream, partition);
    if (!delivery_joined(s->carrier->delivery, name))
        return -1;
    return (int32_t)delivery_reach(s->carrier->delivery, name);
}

broker_rc carrier_offer(streamr *s)
{
    static const streamr_parts table = {sizeof table, 0, neighbors};
    const broker_registry *registry = BROKER_SERVICE(s->ctx, broker_registry);

    return registry != NULL ? registry->offer(s->ctx, STREAMR_PARTS_ID, &table, s) : BROKER_OK;
}

/* ---- life ---- */

static void delivery_make(carrier *c)
{
    const settings *o = &c->s->settings;
    delivery_settings wanted = {.neighbors = o->neighbors,
                                .min_targets = o->propagation_targets,
                                .buffer = o->propagation_buffer,
                                .max_parts = PARTS_MAX,
                                .accept_proxies = o->accept_proxies};
    delivery_calls calls = {
        .arg = c, .on_message = on_message, .on_unsent = on_unsent, .log = on_log};

    c->source = (delivery_source){c, find, cancel, announce};
    c->delivery = delivery_new(c->s->peers, &wanted, o->n_entries != 0 ? &c->source : NULL, &calls);
}

static void relay(carrier *c)
{
    for (size_t i = 0; i < c->s->settings.n_relayed; i++) {
        part *p = part_need(c, pb_bytes_of(c->s->settings.relayed[i]));

        if (p != NULL)
            p->relayed = true;
    }
}

broker_rc carrier_start(streamr *s)
{
    carrier *c = s->carrier = must_alloc(sizeof *c);
    const broker_sign *sign = BROKER_SERVICE(s->ctx, broker_sign);
    broker_rc rc;

    c->s = s;
    bus = s->bus;
    if (sign == NULL || sign->address(s->ctx, c->user) != BROKER_OK)
        memcpy(c->user, s->id.bytes, sizeof c->user);
    delivery_make(c);
    c->timer = peers_timer_start(s->peers, TICK_MS, TICK_MS, on_tick, c);
    c->calls = (broker_carrier){
        .size = sizeof c->calls, .self = c, .on_interest = on_interest, .on_outgoing = on_outgoing};
    rc = s->transport->attach(s->ctx, &c->calls, &c->origin);
    c->attached = rc == BROKER_OK;
    c->intake = intake_new(s->ctx, s->peers, c->origin);
    if (rc == BROKER_OK)
        relay(c);
    return rc;
}

void carrier_end(streamr *s)
{
    carrier *c = s->carrier;

    if (c == NULL)
        return;
    if (c->attached)
        s->transport->detach(s->ctx, c->origin);
    peers_timer_end(c->timer);
    for (size_t i = 0; i < BUCKETS; i++)
        while (c->parts[i] != NULL)
            part_drop(c, &c->parts[i]);
    delivery_free(c->delivery);
    intake_free(c->intake);
    s->carrier = NULL;
    sb_done(&c->name);
    free(c);
}
