/* thin -- delivery.h by proxies alone, until delivery/ is here. */
#include "delivery/delivery.h"

#include <stdlib.h>

typedef struct part {
    struct part *next;
    delivery *d;
    sb name, service;
    int64_t asked_ms;
    sb proxies[16];
    delivery_neighbor ids[16];
    size_t n;
} part;

struct delivery {
    peers *p;
    part *parts;
    size_t n;
    delivery_calls calls;
    delivery_counters counts;
    peers_timer *timer;
};

static void on_call(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    part *q = arg;

    if (call != NULL)
        peers_fail(call, RPC_UNKNOWN_METHOD, NULL);
    else if (pb_bytes_are(e->method, "sendStreamMessage")) {
        q->d->counts.accepted++;
        q->d->calls.on_message(q->d->calls.arg, pb_bytes_from(q->name.data, q->name.len), e->body,
                               from);
    }
}

static void on_accepted(void *arg, peers_result result, const envelope *answer)
{
    part *q = arg;

    (void)answer;
    if (result != PEERS_ANSWERED)
        q->asked_ms = 0;
}

static void on_time(void *arg)
{
    delivery *d = arg;

    for (part *q = d->parts; q != NULL; q = q->next) {
        uint8_t user[20] = {1};
        network_proxy_request r = {.user_id = pb_bytes_from(user, 20)};

        if (peers_now_ms(d->p) < q->asked_ms)
            continue;
        q->asked_ms = peers_now_ms(d->p) + 10000;
        for (size_t i = 0; i < q->n; i++) {
            peers_message m = {q->ids[i].descriptor, q->service.data, "requestConnection",
                               &network_proxy_request_table, &r};
            peers_ask(d->p, &m, 0, on_accepted, q);
        }
    }
}

delivery *delivery_new(peers *p, const delivery_settings *settings, const delivery_source *source,
                       const delivery_calls *calls)
{
    delivery *d = must_alloc(sizeof *d);

    (void)settings, (void)source;
    d->p = p;
    d->calls = *calls;
    d->timer = peers_timer_start(p, 1, 500, on_time, d);
    return d;
}

static part **find(delivery *d, pb_bytes name)
{
    part **at = &d->parts;

    while (*at != NULL &&
           ((*at)->name.len != name.len || memcmp((*at)->name.data, name.ptr, name.len) != 0))
        at = &(*at)->next;
    return at;
}

const char *delivery_join(delivery *d, pb_bytes name, const delivery_proxied *proxied)
{
    part **at = find(d, name), *q;

    if (*at != NULL)
        return NULL;
    q = *at = must_alloc(sizeof *q);
    d->n++;
    q->d = d;
    sb_append(&q->name, name.ptr, name.len);
    sb_printf(&q->service, "stream-part-delivery-%s", q->name.data);
    for (size_t i = 0; proxied != NULL && i < proxied->n; i++) {
        sb_append(&q->proxies[i], proxied->proxies[i].ptr, proxied->proxies[i].len);
        peer_node_id(proxied->proxies[i], &q->ids[i].id);
        q->ids[i].descriptor = pb_bytes_from(q->proxies[i].data, q->proxies[i].len);
        q->n++;
    }
    peers_serve(d->p, q->service.data, 1000, on_call, q);
    return NULL;
}

void delivery_leave(delivery *d, pb_bytes name)
{
    part **at = find(d, name), *q = *at;

    if (q == NULL)
        return;
    *at = q->next;
    d->n--;
    peers_cancel(d->p, q);
    peers_unserve(d->p, q->service.data);
    sb_done(&q->name);
    sb_done(&q->service);
    for (size_t i = 0; i < q->n; i++)
        sb_done(&q->proxies[i]);
    free(q);
}

void delivery_free(delivery *d)
{
    while (d->parts != NULL)
        delivery_leave(d, pb_bytes_from(d->parts->name.data, d->parts->name.len));
    peers_timer_end(d->timer);
    free(d);
}

delivery_fate delivery_publish(delivery *d, pb_bytes name, const delivery_bytes *message,
                               const char **why)
{
    part *q = *find(d, name);
    const node_id *to[16];
    bool sent[16];
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of(NETWORK_STREAM_MESSAGE),
                  .body = message->bytes};

    if (q == NULL) {
        *why = "not joined";
        return DELIVERY_REFUSED;
    }
    for (size_t i = 0; i < q->n; i++)
        to[i] = &q->ids[i].id;
    e.service = pb_bytes_of(q->service.data);
    peers_spread(d->p, &e, to, q->n, sent);
    return DELIVERY_SENT;
}

const delivery_counters *delivery_counted(const delivery *d)
{
    return &d->counts;
}

void delivery_each(const delivery *d, void (*each)(void *ctx, const delivery_part_info *info),
                   void *ctx)
{
    for (const part *q = d->parts; q != NULL; q = q->next) {
        delivery_part_info info = {.part = pb_bytes_from(q->name.data, q->name.len),
                                   .is_proxied = true};

        each(ctx, &info);
    }
}
