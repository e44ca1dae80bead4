/* assignments -- see assignments.h. */
#include "assignments.h"

#include "announce.h"
#include "assigned.h"
#include "chain_streams.h"
#include "keep.h"
#include "streamr/streamr.h"
#include "taken.h"

#define TICK_MS       100u
#define ASKING_MAX    32u
#define REFRESH_MS    600000u
#define SOON_MS       1000u /* after a contradiction or a failure; doubled each time, up to: */
#define FAILED_MAX_MS 60000u
#define CHAIN_WAIT_MS 5000u /* for the plugin `chain` to come up */
#define NEVER         UINT64_MAX

struct assignments {
    logstore *l;
    broker_peer *peer;
    assigned_set *set;
    announce *announce;
    keep *keep;
    broker_timer *timer;
    uint64_t refresh_ms; /* 0: asked once */
    /* the plugin `chain`: the build that is followed, and where it stands */
    bool following;
    uint64_t followed, position, no_chain_since_ms;
    chain_follower *follower; /* NULL: its settings say no */
    assigned *first_due, **last_due;
    size_t asking;
    uint64_t next_ms; /* when the next is due */
    taken taken;
    broker_metric *streams, *parts;
};

static uint64_t now_ms(const assignments *a)
{
    return a->l->work->now_ms(a->l->ctx);
}

static void announce_parts(assignments *a, assigned *s)
{
    if (s->answered && s->version <= keep_durable(a->keep) && !taken_are_told(s))
        announce_stream(a->announce, s);
}

/* ---- one stream ---- */

static void due(assignments *a, assigned *s)
{
    if (s->step == STEP_DUE)
        return;
    if (s->step != STEP_RESTS) {
        s->again = true;
        return;
    }
    s->step = STEP_DUE;
    s->next_due = NULL;
    *a->last_due = s;
    a->last_due = &s->next_due;
}

static void rest(assignments *a, assigned *s, uint64_t until_ms)
{
    s->step = STEP_RESTS;
    s->due_ms = until_ms;
    if (until_ms < a->next_ms)
        a->next_ms = until_ms;
    if (s->again) {
        s->again = false;
        due(a, s);
    }
}

static uint64_t longer(uint64_t delay_ms, uint64_t most_ms)
{
    delay_ms = delay_ms == 0 ? SOON_MS : delay_ms * 2;
    return delay_ms < most_ms ? delay_ms : most_ms;
}

static void failed(assignments *a, assigned *s)
{
    s->delay_ms = longer(s->delay_ms, FAILED_MAX_MS);
    rest(a, s, now_ms(a) + s->delay_ms);
}

static void change_log(const assignments *a, const assigned *s)
{
    if (s->stored)
        broker_logf(a->l->ctx, BROKER_LOG_INFO,
                    "the stream '%s' is assigned to this node: %u of its %u partitions", s->stream,
                    taken_count(s), s->partitions);
    else
        broker_logf(a->l->ctx, BROKER_LOG_INFO,
                    "the stream '%s' is not assigned to this node any more; what is stored stays",
                    s->stream);
}

static void count(const assignments *a)
{
    a->l->metrics->set(a->streams, (double)assigned_count(a->set));
    a->l->metrics->set(a->parts, (double)a->taken.n);
}

/* The chain has answered: partitions 0 is not assigned. */
static void answered(assignments *a, assigned *s, uint32_t partitions)
{
    bool stored = partitions != 0;
    bool changed = s->stored != stored || (stored && s->partitions != partitions);
    bool contradicted = s->said != SAID_NOTHING && (s->said == SAID_ADDED) != stored;
    uint64_t refresh = a->refresh_ms != 0 ? a->refresh_ms : REFRESH_MS;

    s->answered = true;
    s->stored = stored;
    s->partitions = partitions;
    s->told = s->told && !changed;
    taken_set(&a->taken, s, partitions);
    if (changed) {
        s->version = keep_changed(a->keep);
        change_log(a, s);
    }
    announce_parts(a, s);
    count(a);
    s->delay_ms = contradicted ? longer(s->delay_ms, refresh) : 0;
    if (contradicted)
        rest(a, s, now_ms(a) + s->delay_ms);
    else
        rest(a, s, a->refresh_ms != 0 ? now_ms(a) + a->refresh_ms : NEVER);
    if (stored || contradicted || s->step != STEP_RESTS)
        return;
    announce_forget(a->announce, s);
    assigned_drop(a->set, s);
    a->taken.full = false;
    count(a);
}

/* ---- asking ---- */

static const chain_streams *enter(assignments *a, void **self);
static void pump(assignments *a);

static void on_answer(void *arg, broker_rc rc, int64_t value, const char *why);
static void answer_take(assigned *s, broker_rc rc, int64_t value);

static void ask(assignments *a, const chain_streams *chain, void *self, assigned *s,
                assigned_step step)
{
    chain_question q = {
        .size = sizeof q,
        .what = step == STEP_STORED ? CHAIN_STORED_BY : CHAIN_PARTITIONS,
        .stream = assigned_id(s),
        .user = {a->l->cluster.address, sizeof a->l->cluster.address},
        .flags = CHAIN_ANEW,
    };
    int64_t value = 0;
    broker_rc rc;

    s->step = step;
    a->asking++;
    rc = chain->ask(self, &q, &value, on_answer, s);
    if (rc != BROKER_AGAIN)
        answer_take(s, rc, value);
}

static void ask_count(assignments *a, assigned *s)
{
    void *self;
    const chain_streams *chain = enter(a, &self);

    if (chain == NULL) {
        failed(a, s);
        return;
    }
    ask(a, chain, self, s, STEP_COUNT);
    a->l->registry->leave(a->peer);
}

static void answer_take(assigned *s, broker_rc rc, int64_t value)
{
    assignments *a = s->owner;

    a->asking--;
    if (rc != BROKER_OK)
        failed(a, s);
    else if (s->step == STEP_STORED && value != 0)
        ask_count(a, s);
    else if (s->step == STEP_STORED)
        answered(a, s, 0);
    else
        answered(a, s, value < STREAMR_PARTITIONS ? (uint32_t)value : STREAMR_PARTITIONS);
}

static void on_answer(void *arg, broker_rc rc, int64_t value, const char *why)
{
    assigned *s = arg;
    assignments *a = s->owner;

    (void)why; /* the chain plugin says so itself */
    answer_take(s, rc, value);
    pump(a);
}

static void pump(assignments *a)
{
    const chain_streams *chain;
    void *self;

    if (a->first_due == NULL || a->asking >= ASKING_MAX || (chain = enter(a, &self)) == NULL)
        return;
    while (a->first_due != NULL && a->asking < ASKING_MAX) {
        assigned *s = a->first_due;

        a->first_due = s->next_due;
        if (a->first_due == NULL)
            a->last_due = &a->first_due;
        ask(a, chain, self, s, STEP_STORED);
    }
    a->l->registry->leave(a->peer);
}

/* ---- the chain's events ---- */

static void on_storage(void *arg, broker_str stream, const uint8_t node[20], uint32_t flags,
                       uint64_t block)
{
    assignments *a = arg;
    assigned *s;

    (void)node;
    if (!assigned_is_stream(stream)) {
        broker_logf(a->l->ctx, BROKER_LOG_WARN,
                    "block %llu assigns '%.*s' to this node, which cannot be the id of a stream",
                    (unsigned long long)block, (int)stream.len, stream.ptr);
        return;
    }
    if ((flags & CHAIN_ADDED) == 0 && assigned_find(a->set, stream) == NULL)
        return;
    s = assigned_add(a->set, stream);
    if (s == NULL) {
        a->taken.full = true;
        return;
    }
    s->owner = a;
    s->said = (flags & CHAIN_ADDED) != 0 ? SAID_ADDED : SAID_REMOVED;
    s->delay_ms = 0;
    due(a, s);
    count(a);
}

static void each_due(void *arg, assigned *s)
{
    assignments *a = arg;

    if (s->step == STEP_RESTS)
        due(a, s);
}

/* Anew with each build of `chain`, from where the one before stood. */
static void follow(assignments *a, const chain_streams *chain, void *self, uint64_t build)
{
    bool first = !a->following;

    a->following = true;
    a->followed = build;
    a->follower = NULL;
    if (a->position != 0 && BROKER_HAS(chain, chain_streams, go_back))
        chain->go_back(self, a->position);
    if (chain->follow(self, a->l->cluster.address, on_storage, a, &a->follower) != BROKER_OK)
        a->follower = NULL;
    if (first)
        assigned_each(a->set, each_due, a);
}

static uint64_t build_of(const chain_streams *chain, void *self)
{
    return BROKER_HAS(chain, chain_streams, build) ? chain->build(self) : (uint64_t)(uintptr_t)self;
}

static const chain_streams *enter(assignments *a, void **self)
{
    const chain_streams *chain = a->l->registry->enter(a->peer, self);
    uint64_t build;

    if (chain == NULL)
        return NULL;
    build = build_of(chain, *self);
    if (!a->following || build != a->followed)
        follow(a, chain, *self, build);
    return chain;
}

/* ---- time ---- */

static void each_wake(void *arg, assigned *s)
{
    assignments *a = arg;

    if (s->step != STEP_RESTS)
        return;
    if (s->due_ms <= now_ms(a))
        due(a, s);
    else if (s->due_ms < a->next_ms)
        a->next_ms = s->due_ms;
}

/* How far the chain's events have been told. */
static void position_read(assignments *a)
{
    void *self;
    const chain_streams *chain = enter(a, &self);
    uint64_t position;

    if (chain == NULL)
        return;
    position = BROKER_HAS(chain, chain_streams, position) ? chain->position(self) : 0;
    if (position != 0 && a->follower != NULL)
        a->position = position;
    a->no_chain_since_ms = now_ms(a);
    a->l->registry->leave(a->peer);
}

static void on_tick(void *arg)
{
    assignments *a = arg;
    uint64_t now = now_ms(a);

    position_read(a);
    if (now >= a->next_ms) {
        a->next_ms = NEVER;
        assigned_each(a->set, each_wake, a);
    }
    pump(a);
    keep_tick(a->keep, a->set, a->position);
    announce_tick(a->announce, now);
    logstore_state(a->l);
}

static void each_announce(void *arg, assigned *s)
{
    announce_parts(arg, s);
}

static void on_written(void *arg)
{
    assignments *a = arg;

    assigned_each(a->set, each_announce, a);
}

const char *assignments_trouble(assignments *a)
{
    if (now_ms(a) - a->no_chain_since_ms >= CHAIN_WAIT_MS)
        return "'cluster' makes this a storage node of Streamr, but no plugin 'chain' says which "
               "streams are assigned to it: add plugins.chain, with events.enabled";
    if (a->following && a->follower == NULL)
        return "'cluster' makes this a storage node of Streamr, but plugins.chain does not read "
               "which streams are assigned to it: set its events.enabled";
    if (a->taken.full)
        return "more streams are assigned to this node than it can take (20000 streams, 10000 "
               "parts): spread them over a cluster of more nodes";
    if (keep_trouble(a->keep) != NULL)
        return keep_trouble(a->keep);
    return announce_trouble(a->announce);
}

bool assignments_have(const assignments *a, broker_str stream, uint32_t partition)
{
    const assigned *s = assigned_find(a->set, stream);

    return s != NULL && partition < s->n_parts && s->parts[partition].taken;
}

static void on_list(void *self, broker_req *req)
{
    assignments *a = self;

    taken_reply(&a->taken, a->set, req);
}

/* ---- life ---- */

static void each_take(void *arg, assigned *s)
{
    assignments *a = arg;

    s->owner = a;
    if (s->stored)
        taken_set(&a->taken, s, s->partitions);
}

static void each_untold(void *arg, assigned *s)
{
    (void)arg;
    s->told = false;
}

/* What was assigned when the build before, or the process before, was last here. */
static void remember(assignments *a, broker_bytes state)
{
    if (state.len != 0 &&
        assigned_load(a->set, state.ptr, state.len, a->l->cluster.address, &a->position)) {
        keep_changed(a->keep);
    } else {
        assigned_set_free(a->set);
        a->set = assigned_set_new();
        a->position = 0;
        keep_read(a->keep, a->set, &a->position);
        assigned_each(a->set, each_untold, a); /* the SDK may have waited through a crash */
    }
    assigned_each(a->set, each_take, a);
    count(a);
    if (assigned_count(a->set) != 0)
        broker_logf(a->l->ctx, BROKER_LOG_INFO, "%zu streams are known to be assigned, %zu parts",
                    assigned_count(a->set), a->taken.n);
}

static bool open_all(assignments *a)
{
    const broker_metrics *m = a->l->metrics;
    broker_ctx *ctx = a->l->ctx;

    return m->gauge(ctx, "assigned_streams", NULL,
                    "Streams assigned to this node's cluster, or about to be asked about.",
                    &a->streams) == BROKER_OK &&
           m->gauge(ctx, "assigned_parts", NULL, "Parts of them that this node takes.",
                    &a->parts) == BROKER_OK;
}

static bool begin(assignments *a)
{
    broker_ctx *ctx = a->l->ctx;
    broker_route route = {.size = sizeof route,
                          .method = "GET",
                          .self = a,
                          .path = "/assignments",
                          .on_req = on_list};

    a->announce = announce_new(a->l, a->set);
    return a->announce != NULL && a->l->http->route(ctx, &route) == BROKER_OK &&
           a->l->registry->follow(ctx, CHAIN_STREAMS_ID, &a->peer) == BROKER_OK &&
           a->l->work->timer(ctx, 0, TICK_MS, on_tick, a, &a->timer) == BROKER_OK;
}

assignments *assignments_new(logstore *l, broker_bytes state)
{
    assignments *a = must_alloc(sizeof *a);
    const broker_config *config = l->config;

    a->l = a->taken.l = l;
    a->last_due = &a->first_due;
    a->next_ms = NEVER;
    a->no_chain_since_ms = now_ms(a);
    a->refresh_ms = config->json(l->ctx, "logStoreConfig.refreshInterval").len != 0
                        ? (uint64_t)config->integer(l->ctx, "logStoreConfig.refreshInterval")
                        : REFRESH_MS;
    a->set = assigned_set_new();
    a->keep = keep_new(l, on_written, a);
    if (open_all(a)) {
        remember(a, state);
        if (begin(a))
            return a;
    }
    assignments_free(a);
    return NULL;
}

bool assignments_are_idle(assignments *a)
{
    keep_tick(a->keep, a->set, a->position);
    return keep_is_idle(a->keep) && announce_is_idle(a->announce);
}

static void each_told(void *arg, assigned *s)
{
    (void)arg;
    s->told = taken_are_told(s);
}

void assignments_save(assignments *a, sb *out)
{
    position_read(a);
    assigned_each(a->set, each_told, a);
    assigned_save(a->set, a->l->cluster.address, a->position, out);
}

typedef struct leaving {
    assignments *a;
    const chain_streams *chain;
    void *self;
} leaving;

static void each_leave(void *arg, assigned *s)
{
    leaving *l = arg;

    if (l->chain != NULL && (s->step == STEP_STORED || s->step == STEP_COUNT))
        l->chain->cancel(l->self, s);
    taken_set(&l->a->taken, s, 0);
}

static void leave(assignments *a)
{
    leaving l = {.a = a};

    if (a->peer != NULL)
        l.chain = a->l->registry->enter(a->peer, &l.self);
    assigned_each(a->set, each_leave, &l);
    if (l.chain == NULL)
        return;
    if (a->follower != NULL && build_of(l.chain, l.self) == a->followed)
        l.chain->unfollow(l.self, a->follower);
    a->l->registry->leave(a->peer);
}

void assignments_free(assignments *a)
{
    if (a == NULL)
        return;
    if (a->timer != NULL)
        a->l->work->timer_stop(a->timer);
    leave(a);
    announce_free(a->announce);
    keep_free(a->keep);
    assigned_set_free(a->set);
    free(a);
}
