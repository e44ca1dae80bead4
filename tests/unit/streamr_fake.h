/* streamr_fake -- a host for streamr's connections without sockets: connections between listeners
 * and dialled ones in memory, a clock that goes when the test says so, counted buffers.
 *
 * fake_run() delivers until nothing more happens; fake_pass() lets time go by. A test's own end of
 * a connection (fake_dial, fake_listen_raw) keeps the frames that came. */
#ifndef TESTS_STREAMR_FAKE_H
#define TESTS_STREAMR_FAKE_H

#include "base/base.h"

#include <broker/plugin.h>

#include <stdlib.h>

#define FAKE_LISTENERS 16
#define FAKE_TIMERS    64
#define FAKE_STEP_MS   50

struct broker_conn {
    broker_conn *next;
    broker_conn *other; /* NULL: has gone */
    broker_peer_calls calls;
    bool raw; /* the test's end */
    bool connecting, told_open, closing, paused, slow, told_full;
    bool gone;       /* to be told, then freed */
    int32_t code;    /* with which it ended */
    uint32_t port;   /* dialled */
    uint64_t due_ms; /* connecting: when it fails */
    size_t high;
    broker_str address;
    char path[64];
    sb inbox; /* each frame behind its length */
    size_t at;
    sb got; /* raw: the same */
    unsigned n_got;
};

struct broker_listener {
    bool used;
    uint32_t port;
    bool raw;
    broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls);
    void *self;
    broker_conn *last; /* raw: who dialled last */
    unsigned n_accepted;
};

struct broker_timer {
    bool used;
    uint64_t due_ms, every_ms;
    void (*on_time)(void *arg);
    void *arg;
};

typedef struct fake_buf {
    broker_buf b;
    unsigned refs;
    uint8_t bytes[];
} fake_buf;

static struct {
    struct broker_ctx ctx;
    uint64_t now_ms;
    broker_conn *conns, *ended; /* ended: the test still looks at them */
    struct broker_listener listeners[FAKE_LISTENERS];
    struct broker_timer timers[FAKE_TIMERS];
    uint32_t ports;
    size_t bufs; /* not released yet */
    bool bus_full;
    size_t n_admissions, in_place;
    sb admitted;
    void (*room)(void *arg);
    void *room_arg;
    broker_str address; /* of who dials next; empty: 127.0.0.1:1 */
} fake;

/* ---- bus: buffers only ---- */

static broker_buf *fake_buf_new(broker_ctx *ctx, size_t len)
{
    fake_buf *b = malloc(sizeof *b + len);

    (void)ctx;
    must(b != NULL);
    b->b = (broker_buf){.size = sizeof(broker_buf), .bytes = b->bytes, .len = len};
    b->refs = 1;
    fake.bufs++;
    return &b->b;
}

static void fake_buf_retain(broker_buf *buf)
{
    CONTAINER_OF(buf, fake_buf, b)->refs++;
}

static void fake_buf_release(broker_buf *buf)
{
    fake_buf *b = CONTAINER_OF(buf, fake_buf, b);

    must(b->refs > 0);
    if (--b->refs != 0)
        return;
    fake.bufs--;
    free(b);
}

/* Takes everything, unless fake.bus_full; the first bytes of each are kept. */
static broker_rc fake_admit(broker_ctx *ctx, const broker_admission *what)
{
    (void)ctx;
    if (fake.bus_full)
        return BROKER_AGAIN;
    fake.n_admissions++;
    for (size_t i = 0; i < what->n; i++) {
        fake.in_place += what->frames[i].buf != NULL;
        sb_append(&fake.admitted, what->frames[i].raw.ptr, 1);
    }
    return BROKER_OK;
}

static broker_rc fake_on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    (void)ctx;
    must(fake.room == NULL);
    fake.room = room;
    fake.room_arg = arg;
    return BROKER_OK;
}

static const broker_bus fake_bus = {.size = sizeof fake_bus,
                                    .admit = fake_admit,
                                    .on_room = fake_on_room,
                                    .buf_new = fake_buf_new,
                                    .buf_retain = fake_buf_retain,
                                    .buf_release = fake_buf_release};

/* ---- net ---- */

static broker_conn *fake_conn_new(void)
{
    broker_conn *c = must_alloc(sizeof *c);

    c->next = fake.conns;
    c->address = (broker_str){"127.0.0.1:1", 11};
    fake.conns = c;
    return c;
}

static broker_rc fake_listen(broker_ctx *ctx, const broker_net_options *opt,
                             broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                                                   broker_peer_calls *calls),
                             void *self, broker_listener **out)
{
    (void)ctx;
    for (size_t i = 0; i < FAKE_LISTENERS; i++) {
        broker_listener *l = &fake.listeners[i];

        if (l->used)
            continue;
        *l = (broker_listener){.used = true,
                               .port = opt->port != 0 ? opt->port : 40000 + ++fake.ports,
                               .accepted = accepted,
                               .self = self};
        *out = l;
        return BROKER_OK;
    }
    return BROKER_EIO;
}

static uint32_t fake_port(broker_listener *l)
{
    return l->port;
}

static void fake_unlisten(broker_listener *l)
{
    l->used = false;
}

static broker_conn *fake_connecting(uint32_t port, const char *path)
{
    broker_conn *c = fake_conn_new();

    c->connecting = true;
    c->port = port;
    c->due_ms = fake.now_ms;
    snprintf(c->path, sizeof c->path, "%s", path != NULL ? path : "/");
    if (fake.address.len != 0)
        c->address = fake.address;
    return c;
}

static broker_rc fake_connect(broker_ctx *ctx, const broker_net_options *opt,
                              const broker_peer_calls *calls, broker_conn **out)
{
    (void)ctx;
    *out = fake_connecting(opt->port, opt->path);
    (*out)->calls = *calls;
    (*out)->high = opt->high_water;
    return BROKER_OK;
}

static broker_rc fake_send(broker_conn *c, broker_bytes data, int32_t text)
{
    uint8_t len[4];

    must(text == 0 && !c->closing);
    if (c->other == NULL)
        return BROKER_OK;
    put_u32be(len, (uint32_t)data.len);
    sb_append(&c->other->inbox, len, sizeof len);
    sb_append(&c->other->inbox, data.ptr, data.len);
    if (c->high == 0 || c->other->inbox.len - c->other->at < c->high)
        return BROKER_OK;
    c->told_full = true;
    return BROKER_AGAIN;
}

static broker_rc fake_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text)
{
    must(data.ptr >= buf->bytes && data.ptr + data.len <= buf->bytes + buf->len);
    return fake_send(c, data, text);
}

static void fake_pause(broker_conn *c)
{
    c->paused = true;
}

static void fake_resume(broker_conn *c)
{
    c->paused = false;
}

static broker_str fake_address(broker_conn *c)
{
    return c->address;
}

static void fake_close(broker_conn *c, int32_t code, const char *why)
{
    (void)why;
    if (c->closing)
        return;
    c->closing = c->gone = true;
    c->code = code;
    if (c->other != NULL && !c->other->gone) {
        c->other->code = code;
        c->other->gone = true;
    }
}

static const broker_net fake_net = {.size = sizeof fake_net,
                                    .listen = fake_listen,
                                    .port = fake_port,
                                    .unlisten = fake_unlisten,
                                    .connect = fake_connect,
                                    .send = fake_send,
                                    .send_buf = fake_send_buf,
                                    .pause = fake_pause,
                                    .resume = fake_resume,
                                    .address = fake_address,
                                    .close = fake_close};

/* ---- work ---- */

static broker_rc fake_timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                            void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    (void)ctx;
    for (size_t i = 0; i < FAKE_TIMERS; i++)
        if (!fake.timers[i].used) {
            fake.timers[i] = (broker_timer){true, fake.now_ms + first_ms, every_ms, on_time, arg};
            *out = &fake.timers[i];
            return BROKER_OK;
        }
    return BROKER_ENOMEM;
}

static void fake_timer_stop(broker_timer *t)
{
    must(t->used);
    t->used = false;
}

static uint64_t fake_now_ms(broker_ctx *ctx)
{
    (void)ctx;
    return fake.now_ms;
}

static int64_t fake_clock_ms(broker_ctx *ctx)
{
    (void)ctx;
    return 1700000000000 + (int64_t)fake.now_ms;
}

static const broker_work fake_work = {.size = sizeof fake_work,
                                      .timer = fake_timer,
                                      .timer_stop = fake_timer_stop,
                                      .now_ms = fake_now_ms,
                                      .clock_ms = fake_clock_ms};

static void fake_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    (void)ctx, (void)level, (void)line;
}

static const void *fake_service(broker_ctx *ctx, const char *id)
{
    (void)ctx;
    return strcmp(id, BROKER_ID_broker_net) == 0    ? (const void *)&fake_net
           : strcmp(id, BROKER_ID_broker_work) == 0 ? (const void *)&fake_work
           : strcmp(id, BROKER_ID_broker_bus) == 0  ? (const void *)&fake_bus
                                                    : NULL;
}

static const broker_host fake_host = {
    .size = sizeof fake_host, .log = fake_log, .service = fake_service};

/* ---- the loop ---- */

static void fake_told_closed(broker_conn *c)
{
    broker_conn **at = &fake.conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    if (c->other != NULL) {
        c->other->other = NULL;
        c->other->gone = true;
    }
    if (c->calls.on_close != NULL)
        c->calls.on_close(c->calls.self, c, c->code, NULL);
    if (c->raw) {
        c->other = NULL;
        c->next = fake.ended;
        fake.ended = c;
        return;
    }
    sb_done(&c->inbox);
    free(c);
}

static bool fake_meet(broker_conn *c)
{
    broker_listener *l = NULL;
    broker_conn *server;
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; i < FAKE_LISTENERS; i++)
        if (fake.listeners[i].used && fake.listeners[i].port == c->port)
            l = &fake.listeners[i];
    c->connecting = false;
    if (l != NULL) {
        server = fake_conn_new();
        server->address = c->address;
        server->high = c->high;
        server->raw = l->raw;
        if (!l->raw)
            rc = l->accepted(l->self, server, (broker_str){c->path, strlen(c->path)},
                             &server->calls);
        if (rc == BROKER_OK) {
            server->other = c;
            c->other = server;
            c->told_open = server->told_open = true;
            l->n_accepted++;
            if (l->raw)
                l->last = server;
            if (server->calls.on_open != NULL)
                server->calls.on_open(server->calls.self, server);
            if (c->calls.on_open != NULL && !c->gone)
                c->calls.on_open(c->calls.self, c);
            return true;
        }
        fake.conns = server->next; /* the newest */
        free(server);
    }
    c->gone = true;
    c->code = 1006;
    return true;
}

static bool fake_deliver(broker_conn *c)
{
    view in = view_of(c->inbox.data != NULL ? c->inbox.data + c->at : NULL, c->inbox.len - c->at);
    const uint8_t *at;
    uint32_t len;

    if (c->paused || c->slow || c->closing || !c->told_open || view_left(&in) == 0)
        return false;
    must(view_u32be(&in, &len) && view_skip(&in, len, &at));
    c->at += 4 + len;
    if (c->raw) {
        uint8_t head[4];

        put_u32be(head, len);
        sb_append(&c->got, head, 4);
        sb_append(&c->got, at, len);
        c->n_got++;
    } else {
        broker_buf *buf = fake_buf_new(NULL, len);

        memcpy((void *)(uintptr_t)buf->bytes, at, len);
        c->calls.on_data(c->calls.self, c, buf, (broker_bytes){buf->bytes, len}, 0);
        fake_buf_release(buf);
    }
    if (c->at == c->inbox.len) {
        broker_conn *from = c->other;

        sb_clear(&c->inbox);
        c->at = 0;
        if (from != NULL && from->told_full && !from->closing) {
            from->told_full = false;
            if (from->calls.on_drain != NULL)
                from->calls.on_drain(from->calls.self, from);
        }
    }
    return true;
}

static bool fake_step(void)
{
    for (broker_conn *c = fake.conns; c != NULL; c = c->next) {
        if (c->connecting && !c->gone && fake.now_ms >= c->due_ms)
            return fake_meet(c);
        if (fake_deliver(c))
            return true;
        if (c->gone && (c->closing || c->paused || c->slow || c->inbox.len == c->at)) {
            fake_told_closed(c);
            return true;
        }
    }
    for (size_t i = 0; i < FAKE_TIMERS; i++) {
        struct broker_timer *t = &fake.timers[i];

        if (!t->used || fake.now_ms < t->due_ms)
            continue;
        /* A timer that ran once is due no more, but must still be stopped. */
        t->due_ms = t->every_ms != 0 ? fake.now_ms + t->every_ms : UINT64_MAX;
        t->on_time(t->arg);
        return true;
    }
    return false;
}

static void fake_run(void)
{
    while (fake_step())
        ;
}

static inline void fake_pass(uint64_t ms)
{
    fake_run();
    for (uint64_t end = fake.now_ms + ms; fake.now_ms < end;) {
        fake.now_ms += end - fake.now_ms < FAKE_STEP_MS ? end - fake.now_ms : FAKE_STEP_MS;
        fake_run();
    }
}

static void fake_begin(void)
{
    fake.ctx.host = &fake_host;
    fake.now_ms = 1000;
}

/* Everything anew, for the next one. */
static inline void fake_end(void)
{
    for (broker_conn *c; (c = fake.conns != NULL ? fake.conns : fake.ended) != NULL;) {
        if (c == fake.conns)
            fake.conns = c->next;
        else
            fake.ended = c->next;
        sb_done(&c->inbox);
        sb_done(&c->got);
        free(c);
    }
    for (size_t i = 0; i < FAKE_TIMERS; i++)
        must(!fake.timers[i].used); /* all have been stopped */
    sb_done(&fake.admitted);
    memset(&fake, 0, sizeof fake);
}

/* ---- the test's own ends ---- */

static inline broker_conn *fake_dial(uint32_t port, const char *path)
{
    broker_conn *c = fake_connecting(port, path);

    c->raw = true;
    fake_run();
    return c;
}

static inline broker_listener *fake_listen_raw(void)
{
    broker_net_options o = {.port = 0};
    broker_listener *l = NULL;

    must(fake_listen(NULL, &o, NULL, NULL, &l) == BROKER_OK);
    l->raw = true;
    return l;
}

/* The i-th frame that came to it. */
static inline broker_bytes fake_got(const broker_conn *c, unsigned i)
{
    view in = view_of(c->got.data, c->got.len);
    const uint8_t *at = NULL;
    uint32_t len = 0;

    for (unsigned k = 0; k <= i; k++)
        must(view_u32be(&in, &len) && view_skip(&in, len, &at));
    return (broker_bytes){at, len};
}

static inline void fake_forget(broker_conn *c)
{
    broker_conn **at = &fake.ended;

    if (!c->gone)
        fake_close(c, 1000, NULL);
    fake_run();
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    sb_done(&c->got);
    sb_done(&c->inbox);
    free(c);
}

#endif
