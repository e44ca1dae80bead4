/* mqtt_fake -- a host for the mqtt plugin without sockets and without a bus: bytes go in, what the
 * plugin sends, publishes and subscribes to is kept, outcomes and messages are given by the test.
 */
#ifndef TESTS_MQTT_FAKE_H
#define TESTS_MQTT_FAKE_H

#include "base/base.h"

#include <broker/plugin.h>

extern const char mqtt_schema[];
const char mqtt_schema[] = "{}";

#define FAKE_CONNS 64
#define FAKE_SUBS  2048
#define FAKE_POSTS 4096
/* Bytes that may follow after BROKER_AGAIN: acknowledgements, no messages. */
#define FAKE_LAST_WORDS 2048

struct broker_conn {
    broker_peer_calls calls;
    sb sent;
    bool open, asked_to_close, paused, slow, told;
    size_t taken; /* of what is queued, while it is told */
    uint64_t id;
};

struct broker_sub {
    bool used;
    sb stream;
    uint32_t partition;
    broker_on_msgs on_msgs;
    void *self;
};

typedef struct fake_post {
    sb stream, key, chain, content;
    uint32_t partition;
    int64_t timestamp_ms;
    void (*done)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void *arg;
} fake_post;

typedef struct fake_count {
    char name[96];
    int64_t value;
} fake_count;

struct broker_metric {
    fake_count c;
};

/* Apart, because clearing them takes long. */
static struct broker_sub fake_subs[FAKE_SUBS];
static fake_post fake_posts[FAKE_POSTS];

static struct {
    struct broker_ctx ctx;
    void *plugin;
    struct broker_conn conns[FAKE_CONNS];
    size_t n_conns;
    struct broker_sub *subs;
    size_t n_subs, subs_used;
    fake_post *posts;
    size_t n_posts, n_over;
    bool bus_full;
    void (*room)(void *arg);
    void *room_arg;
    uint32_t partitions;
    uint64_t now_ms;
    void (*on_time)(void *arg);
    void *timer_arg;
    broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls);
    void *accepted_self;
    broker_net_options options;
    const char *host, *key, *domain;
    bool wrapped;
    int64_t max_inflight, max_queued, max_sessions, keep_alive_max;
    struct broker_metric metrics[64];
    size_t n_metrics;
    sb log, failure, state;
    uint64_t conn_ids;
} fake;

/* ---- services ---- */

static void fake_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    (void)ctx;
    (void)level;
    sb_puts(&fake.log, line);
    sb_putc(&fake.log, '\n');
}

static broker_rc fake_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    (void)ctx;
    sb_clear(&fake.failure);
    sb_puts(&fake.failure, why);
    return rc;
}

static int64_t fake_integer(broker_ctx *ctx, const char *path)
{
    const struct {
        const char *name;
        int64_t value;
    } all[] = {
        {"port", 0},
        {"maxConnections", 50},
        {"maxPacketBytes", 1114112},
        {"maxInflight", fake.max_inflight},
        {"maxQueued", fake.max_queued},
        {"maxQueuedBytes", 16777216},
        {"maxSessions", fake.max_sessions},
        {"sessionExpirySeconds", 100},
        {"keepAliveMax", fake.keep_alive_max},
    };

    (void)ctx;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (strcmp(all[i].name, path) == 0)
            return all[i].value;
    must(false); /* a setting the fake does not know */
    return 0;
}

static int32_t fake_boolean(broker_ctx *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return fake.wrapped;
}

static broker_str fake_string(broker_ctx *ctx, const char *path)
{
    const char *text = strcmp(path, "host") == 0             ? fake.host
                       : strcmp(path, "streamIdDomain") == 0 ? fake.domain
                                                             : "";

    (void)ctx;
    return (broker_str){text, strlen(text)};
}

static const broker_config fake_config = {.size = sizeof fake_config,
                                          .integer = fake_integer,
                                          .boolean = fake_boolean,
                                          .string = fake_string};

static broker_rc fake_subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    (void)ctx;
    for (size_t i = 0; i < FAKE_SUBS; i++) {
        struct broker_sub *s = &fake.subs[i];

        if (s->used)
            continue;
        s->used = true;
        sb_clear(&s->stream);
        sb_append(&s->stream, want->stream.ptr, want->stream.len);
        s->partition = want->partition;
        s->on_msgs = want->on_msgs;
        s->self = want->self;
        fake.n_subs++;
        if (i >= fake.subs_used)
            fake.subs_used = i + 1;
        *out = s;
        return BROKER_OK;
    }
    return BROKER_ENOMEM;
}

static void fake_unsubscribe(broker_sub *s)
{
    must(s->used);
    s->used = false;
    fake.n_subs--;
}

static broker_rc fake_on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    (void)ctx;
    must(fake.room == NULL);
    fake.room = room;
    fake.room_arg = arg;
    return BROKER_OK;
}

static broker_rc fake_publish(broker_ctx *ctx, const broker_publication *what)
{
    fake_post *p = &fake.posts[fake.n_posts];

    (void)ctx;
    if (fake.bus_full || fake.n_posts == FAKE_POSTS)
        return BROKER_AGAIN;
    if (what->content.len > 1024 * 1024 - 4096)
        return BROKER_EINVAL;
    must(what->chain.len <= 256);
    *p = (fake_post){.partition = what->partition,
                     .timestamp_ms = what->timestamp_ms,
                     .done = what->done,
                     .arg = what->arg};
    sb_append(&p->stream, what->stream.ptr, what->stream.len);
    sb_append(&p->key, what->key.ptr, what->key.len);
    sb_append(&p->chain, what->chain.ptr, what->chain.len);
    sb_append(&p->content, what->content.ptr, what->content.len);
    fake.n_posts++;
    return BROKER_OK;
}

static uint32_t fake_partitions(broker_ctx *ctx, broker_str stream)
{
    (void)ctx;
    (void)stream;
    return fake.partitions;
}

static const broker_bus fake_bus = {.size = sizeof fake_bus,
                                    .subscribe = fake_subscribe,
                                    .unsubscribe = fake_unsubscribe,
                                    .on_room = fake_on_room,
                                    .publish = fake_publish,
                                    .partitions = fake_partitions};

static broker_rc fake_listen(broker_ctx *ctx, const broker_net_options *opt,
                             broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                                                   broker_peer_calls *calls),
                             void *self, broker_listener **out)
{
    (void)ctx;
    fake.options = *opt;
    fake.accepted = accepted;
    fake.accepted_self = self;
    *out = NULL;
    return BROKER_OK;
}

static uint32_t fake_port(broker_listener *listener)
{
    (void)listener;
    return 1;
}

static broker_rc fake_send(broker_conn *conn, broker_bytes data, int32_t text)
{
    (void)text;
    must(conn->open && !conn->asked_to_close);
    must(!conn->told || data.len <= FAKE_LAST_WORDS);
    sb_append(&conn->sent, data.ptr, data.len);
    conn->told = conn->slow;
    return conn->slow ? BROKER_AGAIN : BROKER_OK;
}

static void fake_pause(broker_conn *conn)
{
    must(!conn->paused);
    conn->paused = true;
}

static void fake_resume(broker_conn *conn)
{
    must(conn->paused);
    conn->paused = false;
}

static size_t fake_queued(broker_conn *conn)
{
    return conn->told ? (1u << 20) - conn->taken : 0;
}

static broker_str fake_address(broker_conn *conn)
{
    (void)conn;
    return (broker_str){"127.0.0.1:5", 11};
}

static void fake_close(broker_conn *conn, int32_t code, const char *why)
{
    (void)code;
    (void)why;
    must(conn->open && !conn->asked_to_close);
    conn->asked_to_close = true;
}

static uint64_t fake_id(broker_conn *conn)
{
    return conn->id;
}

static broker_rc fake_adopt(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                            broker_conn **out)
{
    (void)ctx;
    for (size_t i = 0; i < fake.n_conns; i++) {
        struct broker_conn *c = &fake.conns[i];

        if (c->id != id || !c->open || c->calls.self != NULL)
            continue;
        c->calls = *calls;
        c->paused = false;
        *out = c;
        return BROKER_OK;
    }
    return BROKER_EGONE;
}

static const broker_net fake_net = {.size = sizeof fake_net,
                                    .listen = fake_listen,
                                    .port = fake_port,
                                    .send = fake_send,
                                    .pause = fake_pause,
                                    .resume = fake_resume,
                                    .queued = fake_queued,
                                    .address = fake_address,
                                    .close = fake_close,
                                    .id = fake_id,
                                    .adopt = fake_adopt};

static int32_t fake_required(broker_ctx *ctx)
{
    (void)ctx;
    return fake.key != NULL;
}

static broker_rc fake_check(broker_ctx *ctx, broker_str key)
{
    (void)ctx;
    return fake.key != NULL && key.len == strlen(fake.key) &&
                   memcmp(key.ptr, fake.key, key.len) == 0
               ? BROKER_OK
               : BROKER_EDENIED;
}

static const broker_access fake_access = {
    .size = sizeof fake_access, .required = fake_required, .check = fake_check};

static broker_rc fake_timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                            void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    (void)ctx;
    (void)first_ms;
    (void)every_ms;
    fake.on_time = on_time;
    fake.timer_arg = arg;
    *out = NULL;
    return BROKER_OK;
}

static void fake_timer_stop(broker_timer *t)
{
    (void)t;
    fake.on_time = NULL;
}

static uint64_t fake_now(broker_ctx *ctx)
{
    (void)ctx;
    return fake.now_ms;
}

static const broker_work fake_work = {.size = sizeof fake_work,
                                      .timer = fake_timer,
                                      .timer_stop = fake_timer_stop,
                                      .now_ms = fake_now};

static broker_rc fake_metric(broker_ctx *ctx, const char *name, const char *labels,
                             const char *help, broker_metric **out)
{
    struct broker_metric *m;
    char full[96];

    (void)ctx;
    (void)help;
    snprintf(full, sizeof full, "%s{%s}", name, labels != NULL ? labels : "");
    for (size_t i = 0; i < fake.n_metrics; i++)
        if (strcmp(fake.metrics[i].c.name, full) == 0) {
            *out = &fake.metrics[i];
            return BROKER_OK;
        }
    must(fake.n_metrics < COUNT_OF(fake.metrics));
    m = &fake.metrics[fake.n_metrics++];
    memcpy(m->c.name, full, sizeof full);
    *out = m;
    return BROKER_OK;
}

static void fake_add(broker_metric *m, int64_t n)
{
    m->c.value += n;
}

static void fake_set(broker_metric *m, double value)
{
    m->c.value = (int64_t)value;
}

static const broker_metrics fake_metrics = {.size = sizeof fake_metrics,
                                            .counter = fake_metric,
                                            .gauge = fake_metric,
                                            .add = fake_add,
                                            .set = fake_set};

static const void *fake_service(broker_ctx *ctx, const char *id)
{
    static const struct {
        const char *id;
        const void *table;
    } all[] = {
        {BROKER_ID_broker_config, &fake_config}, {BROKER_ID_broker_bus, &fake_bus},
        {BROKER_ID_broker_net, &fake_net},       {BROKER_ID_broker_access, &fake_access},
        {BROKER_ID_broker_work, &fake_work},     {BROKER_ID_broker_metrics, &fake_metrics},
    };

    (void)ctx;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (strcmp(all[i].id, id) == 0)
            return all[i].table;
    return NULL;
}

static const broker_host fake_host = {
    .size = sizeof fake_host, .log = fake_log, .fail = fake_fail, .service = fake_service};

/* ---- what tests do ---- */

static inline void fake_init(void)
{
    fake.ctx.host = &fake_host;
    fake.subs = fake_subs;
    fake.posts = fake_posts;
    fake.host = "127.0.0.1";
    fake.domain = "";
    fake.now_ms = 1000000;
    fake.partitions = 1;
    fake.max_inflight = 3;
    fake.max_queued = 5;
    fake.max_sessions = 10;
    must(broker_plugin.create(&fake.ctx, &fake.plugin) == BROKER_OK);
}

static inline broker_rc fake_start(void)
{
    return broker_plugin.start(fake.plugin,
                               (broker_bytes){(const uint8_t *)fake.state.data, fake.state.len});
}

static inline broker_conn *fake_open(void)
{
    struct broker_conn *c = &fake.conns[fake.n_conns];

    must(fake.n_conns < FAKE_CONNS);
    fake.n_conns++;
    c->open = true;
    c->id = ++fake.conn_ids;
    must(fake.accepted(fake.accepted_self, c, (broker_str){NULL, 0}, &c->calls) == BROKER_OK);
    c->calls.on_open(c->calls.self, c);
    return c;
}

/* As the host does: nothing comes while it is paused or closing. */
static inline bool fake_bytes(broker_conn *c, const void *bytes, size_t len)
{
    if (!c->open || c->asked_to_close || c->paused)
        return false;
    c->calls.on_data(c->calls.self, c, NULL, (broker_bytes){bytes, len}, 0);
    return true;
}

static inline void fake_end(broker_conn *c)
{
    if (!c->open)
        return;
    c->open = false;
    if (c->calls.self != NULL)
        c->calls.on_close(c->calls.self, c, 0, NULL);
}

static inline void fake_drain(broker_conn *c)
{
    c->slow = c->told = false;
    c->taken = 0;
    if (c->open && !c->asked_to_close)
        c->calls.on_drain(c->calls.self, c);
}

static inline void fake_tick(uint64_t ms)
{
    fake.now_ms += ms;
    fake.on_time(fake.timer_arg);
}

/* The outcome of the oldest publication there is none of yet. */
static inline void fake_outcome(int32_t code, const char *reason)
{
    fake_post *p = &fake.posts[fake.n_over];
    broker_outcome o = {code, 0, reason};

    must(fake.n_over < fake.n_posts);
    fake.n_over++;
    p->done(p->arg, NULL, &o);
}

static inline void fake_room(void)
{
    void (*room)(void *) = fake.room;

    fake.bus_full = false;
    fake.room = NULL;
    if (room != NULL)
        room(fake.room_arg);
}

static inline void fake_message_of(const broker_msg *m)
{
    for (size_t i = 0; i < fake.subs_used; i++) {
        struct broker_sub *s = &fake.subs[i];

        if (s->used && s->partition == m->partition && s->stream.len == m->stream.len &&
            memcmp(s->stream.data, m->stream.ptr, m->stream.len) == 0)
            must(s->on_msgs(s->self, &m, 1) == 1);
    }
}

static inline void fake_message(const char *stream, uint32_t partition, const char *content)
{
    broker_msg m = {.size = sizeof m,
                    .stream = {stream, strlen(stream)},
                    .partition = partition,
                    .body = BROKER_BODY_CONTENT,
                    .content = {(const uint8_t *)content, strlen(content)}};

    fake_message_of(&m);
}

static inline int64_t fake_value(const char *name)
{
    for (size_t i = 0; i < fake.n_metrics; i++)
        if (strcmp(fake.metrics[i].c.name, name) == 0)
            return fake.metrics[i].c.value;
    must(false); /* a metric there is not */
    return 0;
}

static inline broker_rc fake_write(broker_writer *w, const void *bytes, size_t len)
{
    (void)w;
    sb_append(&fake.state, bytes, len);
    return BROKER_OK;
}

/* Quiesce; then the connections are nobody's. */
static inline broker_rc fake_quiesce(void)
{
    broker_writer w = {.size = sizeof w, .write = fake_write};
    broker_rc rc;

    sb_clear(&fake.state);
    rc = broker_plugin.quiesce(fake.plugin, &w);
    if (rc == BROKER_OK)
        for (size_t i = 0; i < fake.n_conns; i++)
            fake.conns[i].calls.self = NULL;
    return rc;
}

static inline void fake_done(void)
{
    broker_plugin.destroy(fake.plugin);
    must(fake.n_subs == 0);
    for (size_t i = 0; i < fake.subs_used; i++)
        sb_done(&fake.subs[i].stream);
    for (size_t i = 0; i < fake.n_conns; i++)
        sb_done(&fake.conns[i].sent);
    for (size_t i = 0; i < fake.n_posts; i++) {
        sb_done(&fake.posts[i].stream);
        sb_done(&fake.posts[i].key);
        sb_done(&fake.posts[i].chain);
        sb_done(&fake.posts[i].content);
    }
    sb_done(&fake.log);
    sb_done(&fake.failure);
    sb_done(&fake.state);
    memset(&fake, 0, sizeof fake);
}

#endif
