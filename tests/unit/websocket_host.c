/* websocket_host -- see websocket_host.h. */
#include "websocket_host.h"

#include <criterion/criterion.h>

host_double h;

typedef struct state_writer {
    broker_writer w;
    sb out;
} state_writer;

static void host_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    (void)ctx;
    (void)level;
    sb_puts(&h.log, line);
    sb_putc(&h.log, '\n');
}

static broker_rc host_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    (void)ctx;
    snprintf(h.why, sizeof h.why, "%s", why);
    return rc;
}

static int64_t config_integer(broker_ctx *ctx, const char *path)
{
    (void)ctx;
    return strcmp(path, "maxQueuedBytes") == 0 ? 65536 : 0;
}

static int32_t config_boolean(broker_ctx *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return h.wrapped;
}

static broker_str config_json(broker_ctx *ctx, const char *path)
{
    (void)ctx, (void)path; /* allowedOrigins */
    return (broker_str){"[]", 2};
}

static broker_str config_string(broker_ctx *ctx, const char *path)
{
    (void)ctx;
    return strcmp(path, "host") == 0 ? (broker_str){h.host_name, strlen(h.host_name)}
                                     : (broker_str){NULL, 0};
}

static broker_rc bus_subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    broker_sub *s = &h.subs[h.n_subs++];

    (void)ctx;
    s->want = *want;
    snprintf(s->stream, sizeof s->stream, "%.*s", (int)want->stream.len, want->stream.ptr);
    s->live = true;
    *out = s;
    return BROKER_OK;
}

static void bus_unsubscribe(broker_sub *s)
{
    s->live = false;
}

static broker_rc bus_on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    (void)ctx;
    cr_assert_null(h.on_room, "asked for room twice");
    h.on_room = room;
    h.room_arg = arg;
    return BROKER_OK;
}

static broker_rc bus_publish(broker_ctx *ctx, const broker_publication *what)
{
    published *p = &h.published[h.n_published];

    (void)ctx;
    if (h.publish_rc != BROKER_OK)
        return h.publish_rc;
    if (h.n_published == h.room)
        return BROKER_AGAIN;
    h.n_published++;
    p->done = what->done;
    p->arg = what->arg;
    p->partition = what->partition;
    snprintf(p->content, sizeof p->content, "%.*s", (int)what->content.len,
             (const char *)what->content.ptr);
    snprintf(p->key, sizeof p->key, "%.*s", (int)what->key.len, what->key.ptr);
    snprintf(p->chain, sizeof p->chain, "%.*s", (int)what->chain.len, what->chain.ptr);
    return BROKER_OK;
}

static uint32_t bus_partitions(broker_ctx *ctx, broker_str stream)
{
    (void)ctx;
    (void)stream;
    return 3;
}

static broker_buf *buf_new(broker_ctx *ctx, size_t len)
{
    broker_buf *b = must_alloc(sizeof *b + len);

    (void)ctx;
    *b = (broker_buf){sizeof *b, 1, (uint8_t *)(b + 1), len};
    h.bufs++;
    h.bufs_made++;
    return b;
}

static void buf_retain(broker_buf *b)
{
    b->reserved++;
}

static void buf_release(broker_buf *b)
{
    if (--b->reserved == 0) {
        h.bufs--;
        free(b);
    }
}

static broker_rc net_listen(broker_ctx *ctx, const broker_net_options *opt,
                            broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                                                  broker_peer_calls *calls),
                            void *self, broker_listener **out)
{
    (void)ctx;
    (void)opt;
    h.accepted = accepted;
    h.accepted_self = self;
    *out = NULL;
    return BROKER_OK;
}

static uint32_t net_port(broker_listener *l)
{
    (void)l;
    return 7170;
}

static void net_unlisten(broker_listener *l)
{
    (void)l;
}

static broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text)
{
    cr_assert_eq(text, 1);
    cr_assert_eq(c->code, 0, "sent to a closed one");
    if (c->gone)
        return BROKER_EGONE;
    sb_append(&c->got, data.ptr, data.len);
    sb_putc(&c->got, '\n');
    return c->full ? BROKER_AGAIN : BROKER_OK;
}

static broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text)
{
    cr_assert(data.ptr >= buf->bytes && data.ptr + data.len <= buf->bytes + buf->len);
    c->last_buf = buf;
    return net_send(c, data, text);
}

static void net_pause(broker_conn *c)
{
    c->paused = true;
}

static void net_resume(broker_conn *c)
{
    c->paused = false;
}

static size_t net_queued(broker_conn *c)
{
    return c->queued;
}

static broker_str net_address(broker_conn *c)
{
    (void)c;
    return (broker_str){"127.0.0.1:1", 11};
}

static void net_close(broker_conn *c, int32_t code, const char *why)
{
    cr_assert_eq(c->code, 0, "closed twice");
    c->code = code;
    snprintf(c->reason, sizeof c->reason, "%s", why);
}

static uint64_t net_id(broker_conn *c)
{
    return c->id;
}

static broker_str net_header(broker_conn *conn, const char *name)
{
    (void)conn, (void)name; /* no browser asks here */
    return (broker_str){NULL, 0};
}

static broker_rc net_adopt(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                           broker_conn **out)
{
    (void)ctx;
    for (size_t i = 0; i < h.n_conns; i++)
        if (h.conns[i].id == id) {
            h.conns[i].calls = *calls;
            *out = &h.conns[i];
            return BROKER_OK;
        }
    return BROKER_EGONE;
}

static int32_t access_required(broker_ctx *ctx)
{
    (void)ctx;
    return h.key != NULL;
}

static broker_rc access_check(broker_ctx *ctx, broker_str key)
{
    (void)ctx;
    return same_secret(h.key, key.ptr, key.len) ? BROKER_OK : BROKER_EDENIED;
}

static broker_rc metric_make(broker_ctx *ctx, const char *name, const char *labels,
                             const char *help, broker_metric **out)
{
    char full[100];
    size_t i = 0;

    (void)ctx;
    (void)help;
    snprintf(full, sizeof full, "%s{%s}", name, labels != NULL ? labels : "");
    while (h.metrics[i].name[0] != '\0' && strcmp(h.metrics[i].name, full) != 0)
        i++;
    memcpy(h.metrics[i].name, full, sizeof full);
    *out = &h.metrics[i];
    return BROKER_OK;
}

static void metric_add(broker_metric *m, int64_t n)
{
    m->value += n;
}

static void metric_set(broker_metric *m, double value)
{
    m->value = (int64_t)value;
}

int64_t metric(const char *name)
{
    for (size_t i = 0; i < MANY; i++)
        if (strcmp(h.metrics[i].name, name) == 0)
            return h.metrics[i].value;
    cr_assert_fail("no metric %s", name);
    return 0;
}

static broker_rc work_timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                            void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    (void)ctx;
    (void)first_ms;
    (void)every_ms;
    (void)on_time;
    (void)arg;
    *out = NULL;
    return BROKER_OK;
}

static void work_timer_stop(broker_timer *t)
{
    (void)t;
}

static uint64_t work_now(broker_ctx *ctx)
{
    (void)ctx;
    return h.now_ms;
}

static const void *host_service(broker_ctx *ctx, const char *id)
{
    static const broker_config config = {.size = sizeof config,
                                         .integer = config_integer,
                                         .boolean = config_boolean,
                                         .string = config_string,
                                         .json = config_json};
    static const broker_bus bus = {.size = sizeof bus,
                                   .subscribe = bus_subscribe,
                                   .unsubscribe = bus_unsubscribe,
                                   .on_room = bus_on_room,
                                   .publish = bus_publish,
                                   .partitions = bus_partitions,
                                   .buf_new = buf_new,
                                   .buf_retain = buf_retain,
                                   .buf_release = buf_release};
    static const broker_net net = {.size = sizeof net,
                                   .listen = net_listen,
                                   .port = net_port,
                                   .unlisten = net_unlisten,
                                   .send = net_send,
                                   .send_buf = net_send_buf,
                                   .pause = net_pause,
                                   .resume = net_resume,
                                   .queued = net_queued,
                                   .address = net_address,
                                   .close = net_close,
                                   .id = net_id,
                                   .adopt = net_adopt,
                                   .header = net_header};
    static const broker_access access = {sizeof access, 0, access_required, access_check};
    static const broker_metrics metrics = {.size = sizeof metrics,
                                           .counter = metric_make,
                                           .gauge = metric_make,
                                           .add = metric_add,
                                           .set = metric_set};
    static const broker_work work = {.size = sizeof work,
                                     .timer = work_timer,
                                     .timer_stop = work_timer_stop,
                                     .now_ms = work_now};
    static const struct {
        const char *id;
        const void *table;
    } tables[] = {
        {BROKER_ID_broker_config, &config},   {BROKER_ID_broker_bus, &bus},
        {BROKER_ID_broker_net, &net},         {BROKER_ID_broker_access, &access},
        {BROKER_ID_broker_metrics, &metrics}, {BROKER_ID_broker_work, &work},
    };

    (void)ctx;
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (strcmp(tables[i].id, id) == 0)
            return tables[i].table;
    return NULL;
}

static const broker_host host_table = {sizeof host_table, BROKER_ABI_MAJOR, BROKER_ABI_MINOR,
                                       host_log,          host_fail,        host_service};
broker_ctx ctx = {&host_table};

/* ---- the plugin, from outside ---- */

void *build_start(broker_bytes state)
{
    void *self;

    cr_assert_eq(broker_plugin.create(&ctx, &self), BROKER_OK);
    cr_assert_eq(broker_plugin.start(self, state), BROKER_OK, "%s", h.why);
    return self;
}

void *begin(void)
{
    h.room = ROOM_FOR_ALL;
    h.now_ms = 1;
    snprintf(h.host_name, sizeof h.host_name, "127.0.0.1");
    return build_start((broker_bytes){NULL, 0});
}

broker_rc ask(const char *target, broker_conn **out)
{
    broker_conn *c = &h.conns[h.n_conns];
    broker_rc rc;

    c->id = 1000 + h.n_conns;
    rc = h.accepted(h.accepted_self, c, (broker_str){target, strlen(target)}, &c->calls);
    if (rc == BROKER_OK) {
        h.n_conns++;
        c->calls.on_open(c->calls.self, c);
        *out = c;
    }
    return rc;
}

broker_conn *client_open(const char *target)
{
    broker_conn *c = NULL;

    cr_assert_eq(ask(target, &c), BROKER_OK, "%s", h.log.data);
    return c;
}

void say(broker_conn *c, const char *text)
{
    broker_buf *b = buf_new(&ctx, strlen(text));

    memcpy((uint8_t *)b->bytes, text, b->len);
    c->calls.on_data(c->calls.self, c, b, (broker_bytes){b->bytes, b->len}, 1);
    buf_release(b);
}

void leave(broker_conn *c)
{
    c->id = 0;
    c->calls.on_close(c->calls.self, c, 1000, NULL);
}

void settle(size_t i, int32_t code)
{
    broker_msg m = {.size = sizeof m,
                    .stream = {S, strlen(S)},
                    .timestamp_ms = (int64_t)i,
                    .publisher = {(const uint8_t *)"\xab\xcd", 2},
                    .chain = {"c", 1}};
    broker_outcome outcome = {code, 0, code == BROKER_REJECTED ? "no \"good\"" : NULL};

    h.published[i].done(h.published[i].arg, &m, &outcome);
}

void room_again(size_t room)
{
    void (*call)(void *arg) = h.on_room;

    h.room = room;
    h.on_room = NULL;
    call(h.room_arg);
}

void deliver(broker_sub *s, const char *const *contents, size_t n)
{
    broker_msg msgs[MANY];
    const broker_msg *list[MANY];

    for (size_t i = 0; i < n; i++) {
        msgs[i] = (broker_msg){.size = sizeof msgs[i],
                               .stream = {S, strlen(S)},
                               .content = {(const uint8_t *)contents[i], strlen(contents[i])},
                               .body = BROKER_BODY_CONTENT};
        if (strcmp(contents[i], "cipher") == 0)
            msgs[i].encryption_type = BROKER_ENCRYPTION_AES;
        list[i] = &msgs[i];
    }
    cr_assert(s->live);
    cr_assert_eq(s->want.on_msgs(s->want.self, list, n), n, "all are taken");
}

static broker_rc state_write(broker_writer *w, const void *bytes, size_t len)
{
    sb_append(&((state_writer *)(void *)w)->out, bytes, len);
    return BROKER_OK;
}

broker_rc quiesce(void *self, sb *state)
{
    state_writer w = {.w = {.size = sizeof w.w, .write = state_write}};
    broker_rc rc = broker_plugin.quiesce(self, &w.w);

    *state = w.out;
    return rc;
}

void end(void *self)
{
    sb state;

    cr_assert_eq(quiesce(self, &state), BROKER_OK);
    sb_done(&state);
    broker_plugin.destroy(self);
    cr_assert_eq(h.bufs, 0, "%zu buffers are still held", h.bufs);
}
