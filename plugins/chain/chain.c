/* chain -- what Streamr's contracts on an EVM chain say of streams, publishers and storage nodes.
 * Here: the life of a build. [loop] */
#include "chain.h"

#include "pack/pack.h"

#include <broker/plugin_log.h>

#include <string.h>

#define STATE_VERSION 1u
#define LEAVING_MS    2000u /* for what is being asked, before it is given up */

extern const char chain_schema[];

/* ---- services ---- */

static const char *services_find(broker_ctx *ctx, chain *c)
{
    rpc_services *s = &c->s;

    s->ctx = ctx;
    s->fetch = BROKER_SERVICE(ctx, broker_fetch);
    s->work = BROKER_SERVICE(ctx, broker_work);
    s->metrics = BROKER_SERVICE(ctx, broker_metrics);
    s->node = BROKER_SERVICE(ctx, broker_node);
    c->config = BROKER_SERVICE(ctx, broker_config);
    c->verify = BROKER_SERVICE(ctx, broker_verify);
    c->registry = BROKER_SERVICE(ctx, broker_registry);
    return s->fetch == NULL      ? BROKER_ID_broker_fetch
           : s->work == NULL     ? BROKER_ID_broker_work
           : s->metrics == NULL  ? BROKER_ID_broker_metrics
           : s->node == NULL     ? BROKER_ID_broker_node
           : c->config == NULL   ? BROKER_ID_broker_config
           : c->verify == NULL   ? BROKER_ID_broker_verify
           : c->registry == NULL ? BROKER_ID_broker_registry
                                 : NULL;
}

/* ---- state: {v, facts, events} ---- */

static const char *parts_take(chain *c, const unpacked_map *m)
{
    size_t known_len, events_len;
    const char *known = unpack_bytes(m, "facts", &known_len);
    const char *read = unpack_bytes(m, "events", &events_len);

    if (unpack_uint(m, "v", 0) != STATE_VERSION)
        return "it is of another version";
    if (known == NULL || !views_load(c->views, known, known_len))
        return "it is damaged";
    /* Settings may have changed: there are none, or none are wanted. */
    if (read != NULL && events_len != 0 && c->events != NULL &&
        !events_load(c->events, read, events_len))
        return "it is damaged";
    return NULL;
}

static broker_rc state_take(chain *c, broker_bytes state)
{
    unpacked *u;
    const char *why;

    if (state.len == 0)
        return BROKER_OK;
    if (unpack(state.ptr, state.len, &u) != 1)
        return c->s.ctx->host->fail(c->s.ctx, BROKER_ESTATE, "it is not the state of this plugin");
    why = parts_take(c, unpacked_root(u));
    unpacked_free(u);
    return why == NULL ? BROKER_OK : c->s.ctx->host->fail(c->s.ctx, BROKER_ESTATE, why);
}

static void state_make(const chain *c, sb *out)
{
    sb known = SB_INIT, read = SB_INIT;

    views_save(c->views, &known);
    if (c->events != NULL)
        events_save(c->events, &read);
    pack_map(out, 3);
    pack_uint(out, "v", STATE_VERSION);
    pack_bytes(out, "facts", known.data, known.len);
    pack_bytes(out, "events", read.data, read.len);
    sb_done(&known);
    sb_done(&read);
}

/* ---- life ---- */

static void destroy(void *self)
{
    chain *c = self;

    streams_free(c->streams);
    events_free(c->events);
    checker_free(c->checker);
    views_free(c->views);
    rpc_free(c->rpc);
    settings_done(&c->settings);
    free(c);
}

static void on_changed(void *arg, broker_str stream)
{
    views_changed(arg, stream);
}

static void parts_make(chain *c)
{
    settings *o = &c->settings;

    c->rpc = rpc_new(&o->rpc, &c->s);
    c->views = views_new(&o->views, &c->s, c->rpc);
    c->checker = checker_new(&c->s, c->views, c->rpc, c->verify);
    o->events.changed = on_changed;
    o->events.arg = c->views;
    if (o->has_events)
        c->events = events_new(&o->events, &c->s, c->rpc);
    c->streams = streams_new(c->views, c->rpc, c->events);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    chain *c = must_alloc(sizeof *c);
    const char *lacks = services_find(ctx, c);
    broker_rc rc;

    if (lacks != NULL) {
        free(c);
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks %s", lacks);
    }
    rc = settings_read(ctx, c->config, &c->settings);
    if (rc != BROKER_OK) {
        free(c);
        return rc;
    }
    parts_make(c);
    *self = c;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    chain *c = self;
    broker_rc rc = state_take(c, state);

    if (rc == BROKER_OK)
        rc = views_open(c->views);
    if (rc == BROKER_OK)
        rc = checker_offer(c->checker);
    if (rc == BROKER_OK)
        rc = streams_offer(c->streams, c->s.ctx, c->registry);
    if (rc == BROKER_OK)
        rc = rpc_open(c->rpc);
    if (rc == BROKER_OK && c->events != NULL)
        rc = events_open(c->events);
    if (rc == BROKER_OK)
        broker_logf(c->s.ctx, BROKER_LOG_INFO,
                    "chain %llu is asked at %zu endpoints, %zu must agree",
                    (unsigned long long)c->settings.rpc.chain_id, c->settings.rpc.n_urls,
                    c->settings.rpc.quorum);
    return rc;
}

/* Traffic is held back for as long as verdicts are open. */
static void leave_in_time(chain *c)
{
    uint64_t now = c->s.work->now_ms(c->s.ctx);

    if (c->leaving_ms == 0)
        c->leaving_ms = now;
    else if (now - c->leaving_ms >= LEAVING_MS)
        rpc_give_up(c->rpc);
}

static broker_rc quiesce(void *self, broker_writer *out)
{
    chain *c = self;
    sb state = SB_INIT;
    broker_rc rc;

    if (checker_open(c->checker) != 0) {
        leave_in_time(c);
        return BROKER_AGAIN;
    }
    c->leaving_ms = 0;
    state_make(c, &state);
    rc = out->write(out, state.data, state.len);
    sb_done(&state);
    if (rc != BROKER_OK)
        return rc;
    streams_leave(c->streams);
    rpc_give_up(c->rpc);
    if (c->events != NULL)
        events_close(c->events);
    rpc_close(c->rpc);
    return BROKER_OK;
}

BROKER_PLUGIN("chain", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, chain_schema, create, start, NULL,
              quiesce, destroy);
