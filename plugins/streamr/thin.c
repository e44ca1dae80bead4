/* thin -- see thin.h. */
#include "thin.h"

#include "wire/network.h"

#include <stdlib.h>

typedef struct part {
    struct part *next;
    thin *t;
    sb name, service;
    int64_t asked_ms;
} part;

struct thin {
    peers *p;
    pb_bytes proxies[16];
    node_id ids[16];
    size_t n;
    part *parts;
    thin_message on_message;
    void *arg;
    peers_timer *timer;
};

static void on_call(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    part *q = arg;

    (void)from;
    if (call != NULL)
        peers_fail(call, RPC_UNKNOWN_METHOD, NULL);
    else if (pb_bytes_are(e->method, "sendStreamMessage"))
        q->t->on_message(q->t->arg, pb_bytes_from(q->name.data, q->name.len), e->body);
}

static void on_accepted(void *arg, peers_result result, const envelope *answer)
{
    part *q = arg;

    (void)answer;
    if (result != PEERS_ANSWERED)
        q->asked_ms = 0;
}

static void ask(part *q)
{
    uint8_t user[20] = {1};
    network_proxy_request r = {.user_id = pb_bytes_from(user, 20)};

    q->asked_ms = peers_now_ms(q->t->p) + 10000;
    for (size_t i = 0; i < q->t->n; i++) {
        peers_message m = {q->t->proxies[i], q->service.data, "requestConnection",
                           &network_proxy_request_table, &r};
        peers_ask(q->t->p, &m, 0, on_accepted, q);
    }
}

static void on_time(void *arg)
{
    thin *t = arg;

    for (part *q = t->parts; q != NULL; q = q->next)
        if (peers_now_ms(t->p) >= q->asked_ms)
            ask(q);
}

thin *thin_new(peers *p, const pb_bytes *proxies, size_t n, thin_message on_message, void *arg)
{
    thin *t = must_alloc(sizeof *t);

    t->p = p;
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        t->proxies[i] = proxies[i];
        peer_node_id(proxies[i], &t->ids[i]);
    }
    t->on_message = on_message;
    t->arg = arg;
    t->timer = peers_timer_start(p, 1, 500, on_time, t);
    return t;
}

static part **find(thin *t, pb_bytes name)
{
    part **at = &t->parts;

    while (*at != NULL && ((*at)->name.len != name.len ||
                           memcmp((*at)->name.data, name.ptr, name.len) != 0))
        at = &(*at)->next;
    return at;
}

void thin_join(thin *t, pb_bytes name)
{
    part **at = find(t, name), *q;

    if (*at != NULL)
        return;
    q = *at = must_alloc(sizeof *q);
    q->t = t;
    sb_append(&q->name, name.ptr, name.len);
    sb_printf(&q->service, "stream-part-delivery-%s", q->name.data);
    peers_serve(t->p, q->service.data, 1000, on_call, q);
}

void thin_leave(thin *t, pb_bytes name)
{
    part **at = find(t, name), *q = *at;

    if (q == NULL)
        return;
    *at = q->next;
    peers_cancel(t->p, q);
    peers_unserve(t->p, q->service.data);
    sb_done(&q->name);
    sb_done(&q->service);
    free(q);
}

void thin_free(thin *t)
{
    if (t == NULL)
        return;
    while (t->parts != NULL)
        thin_leave(t, pb_bytes_from(t->parts->name.data, t->parts->name.len));
    peers_timer_end(t->timer);
    free(t);
}

void thin_publish(thin *t, pb_bytes name, pb_bytes raw)
{
    part *q;
    const node_id *to[16];
    bool sent[16];
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of(NETWORK_STREAM_MESSAGE),
                  .body = raw};

    thin_join(t, name);
    q = *find(t, name);
    for (size_t i = 0; i < t->n; i++)
        to[i] = &t->ids[i];
    e.service = pb_bytes_of(q->service.data);
    peers_spread(t->p, &e, to, t->n, sent);
}
