/* events -- see events.h. One question at a time: where the chain is; whether the last range is
 * what it was; the last block of the next range; its logs. */
#include "events.h"

#include "answer.h"
#include "logs.h"
#include "past.h"

#include <broker/plugin_log.h>

#include <string.h>

#define SHORTER 10000u /* blocks; a chain that is shorter by more was begun anew */

struct chain_follower {
    chain_follower *next;
    bool gone, has_node;
    uint8_t node[20];
    chain_on_storage on_storage;
    void *arg;
};

struct events {
    events_options o;
    rpc_services s;
    rpc *rpc;
    bool started, asking, telling;
    bool waits;     /* for somebody who follows: nothing is to be missed */
    bool goes_back; /* to the block `back`, before the next question */
    uint64_t back;
    uint64_t next, safe, span; /* block to be read next, last to be read now, how many at once */
    past_range range;          /* being read */
    past past;
    chain_follower *followers;
    broker_timer *timer;
    broker_metric *seen, *taken_back, *at;
};

/* ---- telling ---- */

static void followers_sweep(events *e)
{
    for (chain_follower **at = &e->followers; *at != NULL;) {
        chain_follower *f = *at;

        if (f->gone) {
            *at = f->next;
            free(f);
        } else {
            at = &f->next;
        }
    }
}

static void tell(events *e, const past_event *what, uint32_t flags)
{
    broker_str stream = {what->stream, what->stream_len};

    e->telling = true;
    for (chain_follower *f = e->followers; f != NULL; f = f->next)
        if (!f->gone && (!f->has_node || memcmp(f->node, what->node, sizeof f->node) == 0))
            f->on_storage(f->arg, stream, what->node, flags, what->block);
    e->telling = false;
    followers_sweep(e);
}

static void on_log(void *arg, const chain_log *log)
{
    events *e = arg;
    past_event what = {.block = log->block,
                       .added = log->kind == LOG_ADDED,
                       .stream = (char *)log->stream,
                       .stream_len = log->stream_len};

    e->s.metrics->add(e->seen, 1);
    e->o.changed(e->o.arg, (broker_str){log->stream, log->stream_len});
    if (log->kind == LOG_CHANGED)
        return;
    memcpy(what.node, log->node, sizeof what.node);
    past_add_event(&e->past, &what);
    tell(e, &what, what.added ? CHAIN_ADDED : 0);
}

/* The newest range is not what it was. */
static void range_take_back(events *e)
{
    past_event what;

    e->next = past_last(&e->past)->from;
    e->o.changed(e->o.arg, (broker_str){NULL, 0});
    broker_logf(e->s.ctx, BROKER_LOG_WARN,
                "the chain was reorganised: blocks from %llu are read again",
                (unsigned long long)e->next);
    while (past_take_event(&e->past, e->next, &what)) {
        e->s.metrics->add(e->taken_back, 1);
        tell(e, &what, CHAIN_TAKEN_BACK | (what.added ? 0 : CHAIN_ADDED));
        free(what.stream);
    }
    past_drop_range(&e->past);
}

/* ---- reading ---- */

static void ask_past(events *e);

/* Until the timer: what is read was read, or something went wrong. */
static void rest(events *e)
{
    e->asking = false;
}

static void ask(events *e, const char *method, const sb *params, const rpc_how *how, rpc_done done)
{
    if (rpc_ask(e->rpc, method, params->data, how, done, e) == NULL)
        rest(e);
}

static void on_logs(void *arg, rpc_end end, const char *text)
{
    events *e = arg;

    if (end != RPC_RESULT || !logs_read(text, e->range.from, e->range.to, on_log, e)) {
        /* Endpoints say in many ways that a range is too long for them. */
        e->span = e->span > 1 ? e->span / 2 : 1;
        broker_logf(e->s.ctx, BROKER_LOG_DEBUG, "the logs of blocks %llu to %llu: %s",
                    (unsigned long long)e->range.from, (unsigned long long)e->range.to,
                    end == RPC_FAILED ? text : "not an answer");
        rest(e);
        return;
    }
    past_add_range(&e->past, &e->range);
    e->next = e->range.to + 1;
    e->s.metrics->set(e->at, (double)e->range.to);
    e->span = e->span * 2 < e->o.max_blocks ? e->span * 2 : e->o.max_blocks;
    if (e->next <= e->safe)
        ask_past(e);
    else
        rest(e);
}

static void on_block(void *arg, rpc_end end, const char *text)
{
    static const rpc_how how = {0, logs_reduce};
    events *e = arg;
    sb params = SB_INIT;

    if (end != RPC_RESULT || !logs_read_hash(text, e->range.hash)) {
        rest(e);
        return;
    }
    logs_put_range(&params, e->o.stream_registry, e->o.storage_registry, e->range.from,
                   e->range.to);
    ask(e, "eth_getLogs", &params, &how, on_logs);
    sb_done(&params);
}

static void ask_block(events *e, uint64_t number, rpc_done done)
{
    static const rpc_how how = {0, logs_reduce_block};
    sb params = SB_INIT;

    logs_put_block(&params, number);
    ask(e, "eth_getBlockByNumber", &params, &how, done);
    sb_done(&params);
}

static void ask_range(events *e)
{
    uint64_t last = e->next + e->span - 1;

    e->range.from = e->next;
    e->range.to = last < e->safe ? last : e->safe;
    ask_block(e, e->range.to, on_block);
}

static void on_past(void *arg, rpc_end end, const char *text)
{
    events *e = arg;
    uint8_t hash[32];

    if (end != RPC_RESULT || !logs_read_hash(text, hash)) {
        rest(e); /* not known yet, or not any more */
        return;
    }
    if (memcmp(hash, past_last(&e->past)->hash, sizeof hash) == 0) {
        ask_range(e);
        return;
    }
    range_take_back(e);
    ask_past(e);
}

static void ask_past(events *e)
{
    if (past_last(&e->past) != NULL)
        ask_block(e, past_last(&e->past)->to, on_past);
    else
        ask_range(e);
}

/* Between two questions. Ranges that end behind that block are read again, so what was said of them
 * is not taken back. */
static void go_back_now(events *e)
{
    const past_range *last;
    past_event told;

    if (!e->goes_back || !e->started)
        return;
    e->goes_back = false;
    if (e->back >= e->next && (past_last(&e->past) != NULL || e->back > e->safe + SHORTER))
        return;
    while ((last = past_last(&e->past)) != NULL && last->to >= e->back) {
        while (past_take_event(&e->past, last->from, &told))
            free(told.stream);
        past_drop_range(&e->past);
    }
    e->next = last != NULL ? last->to + 1 : e->back;
}

static void on_head(void *arg, rpc_end end, const char *text)
{
    events *e = arg;
    uint64_t head;

    if (end != RPC_RESULT || !answer_number(text, &head) || head < e->o.confirmations) {
        rest(e);
        return;
    }
    e->safe = head - e->o.confirmations;
    if (!e->started) {
        e->next = e->o.has_from_block ? e->o.from_block : e->safe + 1;
        e->started = true;
        go_back_now(e);
    }
    if (e->next <= e->safe)
        ask_past(e);
    else
        rest(e);
}

static void on_time(void *arg)
{
    /* Endpoints are seldom at the same block; what is read of blocks they must agree about. */
    static const rpc_how how = {1, NULL};
    events *e = arg;
    sb none = SB_INIT;

    if (e->asking || e->waits)
        return;
    go_back_now(e);
    e->asking = true;
    sb_puts(&none, "[]");
    ask(e, "eth_blockNumber", &none, &how, on_head);
    sb_done(&none);
    rpc_flush(e->rpc);
}

/* ---- followers ---- */

chain_follower *events_follow(events *e, const uint8_t node[20], chain_on_storage on_storage,
                              void *arg)
{
    chain_follower *f = must_alloc(sizeof *f);

    f->has_node = node != NULL;
    if (node != NULL)
        memcpy(f->node, node, sizeof f->node);
    f->on_storage = on_storage;
    f->arg = arg;
    f->next = e->followers;
    e->followers = f;
    e->waits = false;
    return f;
}

void events_unfollow(events *e, chain_follower *f)
{
    f->gone = true;
    if (!e->telling)
        followers_sweep(e);
}

uint64_t events_position(const events *e)
{
    return e->started ? e->next : 0;
}

void events_go_back(events *e, uint64_t block)
{
    e->back = e->goes_back && e->back < block ? e->back : block;
    e->goes_back = true;
}

/* ---- life ---- */

events *events_new(const events_options *o, const rpc_services *s, rpc *r)
{
    events *e = must_alloc(sizeof *e);

    e->o = *o;
    e->s = *s;
    e->rpc = r;
    e->span = o->max_blocks;
    e->waits = o->has_from_block;
    return e;
}

broker_rc events_open(events *e)
{
    static const char help[] = "Events of streams: their storage nodes, permissions and metadata.";
    const broker_metrics *m = e->s.metrics;
    broker_ctx *ctx = e->s.ctx;
    broker_rc rc = m->counter(ctx, "events_total", "what=\"read\"", help, &e->seen);

    if (rc == BROKER_OK)
        rc = m->counter(ctx, "events_total", "what=\"taken_back\"", help, &e->taken_back);
    if (rc == BROKER_OK)
        rc = m->gauge(ctx, "events_block", NULL, "The last block whose events were read.", &e->at);
    if (rc == BROKER_OK)
        rc = e->s.work->timer(ctx, 0, e->o.poll_ms, on_time, e, &e->timer);
    return rc;
}

void events_close(events *e)
{
    e->s.work->timer_stop(e->timer);
    e->timer = NULL;
    e->asking = false;
}

void events_free(events *e)
{
    if (e == NULL)
        return;
    for (chain_follower *f = e->followers; f != NULL; f = f->next)
        f->gone = true;
    followers_sweep(e);
    past_done(&e->past);
    free(e);
}

/* ---- from build to build ---- */

void events_save(const events *e, sb *out)
{
    uint8_t head[10] = {e->started, e->waits || e->followers != NULL};

    put_u64be(head + 2, e->next);
    sb_append(out, head, sizeof head);
    past_save(&e->past, out);
}

bool events_load(events *e, const void *bytes, size_t len)
{
    view in = view_of(bytes, len);
    uint8_t started, waits;

    past_done(&e->past); /* of this build, when it is started again */
    if (!view_u8(&in, &started) || started > 1 || !view_u8(&in, &waits) || waits > 1 ||
        !view_u64be(&in, &e->next) || !past_load(&e->past, &in) || view_left(&in) != 0)
        return false;
    e->started = started == 1;
    e->waits = waits == 1 && e->followers == NULL;
    return true;
}
