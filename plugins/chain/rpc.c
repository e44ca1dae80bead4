/* rpc -- see rpc.h. Here: calls, and when their votes are enough. */
#include "rpc_parts.h"

#include <broker/plugin_log.h>

#include <string.h>

uint64_t rpc_now(const rpc *r)
{
    return r->s.work->now_ms(r->s.ctx);
}

/* ---- a call ---- */

static void call_free(rpc_call *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    else
        c->r->last = c->at;
    for (size_t i = 0; i < c->r->o.n_urls; i++)
        free(c->votes[i].text);
    free(c->why);
    free(c->method);
    free(c->params);
    free(c);
}

static void call_over(rpc_call *c)
{
    c->over = true;
    c->r->s.metrics->set(c->r->waiting, (double)--c->r->n_waiting);
}

static void call_end(rpc_call *c, rpc_end end, const char *text)
{
    call_over(c);
    c->r->s.metrics->add(c->r->ends[end], 1);
    c->done(c->arg, end, text);
}

void call_left(rpc_call *c)
{
    c->requests--;
}

void call_unanswered(rpc_call *c, size_t who, const char *why, bool again, bool counts)
{
    vote *v = &c->votes[who];

    if (v->state != VOTE_ASKED)
        return;
    v->tries += counts;
    v->state = again && v->tries < RPC_TRIES ? VOTE_NONE : VOTE_ERROR;
    free(c->why);
    c->why = must_strdup(why);
}

void call_answered(rpc_call *c, size_t who, rpc_end end, const char *text)
{
    vote *v = &c->votes[who];
    char *kept;

    if (v->state != VOTE_ASKED)
        return; /* twice */
    kept = end == RPC_RESULT && c->how.reduce != NULL ? c->how.reduce(text) : must_strdup(text);
    if (kept == NULL) {
        call_unanswered(c, who, "it has no such answer", true, true);
        return;
    }
    v->state = VOTE_GIVEN;
    v->end = end;
    v->text = kept;
}

/* ---- votes ---- */

static bool votes_agree(const vote *a, const vote *b)
{
    /* Endpoints refuse in words of their own. */
    return b->state == VOTE_GIVEN && a->end == b->end &&
           (a->end == RPC_REVERTED || strcmp(a->text, b->text) == 0);
}

/* The vote that most give, and how many do. */
static const vote *votes_count(const rpc_call *c, size_t *most)
{
    const vote *best = NULL;

    *most = 0;
    for (size_t i = 0; i < c->r->o.n_urls; i++) {
        size_t n = 0;

        if (c->votes[i].state != VOTE_GIVEN)
            continue;
        for (size_t k = 0; k < c->r->o.n_urls; k++)
            n += votes_agree(&c->votes[i], &c->votes[k]);
        if (n > *most) {
            *most = n;
            best = &c->votes[i];
        }
    }
    return best;
}

/* Whether it is worth waiting for the endpoint. */
static bool may_answer(const rpc_call *c, size_t i, uint64_t now)
{
    const endpoint *e = &c->r->endpoints[i];

    return c->votes[i].state == VOTE_NONE &&
           (endpoint_is_usable(e, now) ||
            (e->failures < RPC_FAILURES && e->pause_end < c->deadline_ms));
}

/* Put the call into requests until as many endpoints are asked as are needed. An endpoint that
 * has no room, or is not known yet, is waited for. */
static void call_spread(rpc_call *c, size_t needed, uint64_t now)
{
    for (size_t i = 0; i < c->r->o.n_urls && needed > 0; i++) {
        endpoint *e = &c->r->endpoints[i];

        if (c->votes[i].state != VOTE_NONE || !endpoint_is_usable(e, now))
            continue;
        needed--;
        if (!e->known) {
            post_check(c->r, e);
        } else if (post_put(c->r, i, c)) {
            c->votes[i].state = VOTE_ASKED;
            c->requests++;
        }
    }
}

static void call_fail(rpc_call *c, const char *otherwise)
{
    sb why = SB_INIT;

    sb_puts(&why, c->why != NULL ? c->why : otherwise);
    call_end(c, RPC_FAILED, why.data);
    sb_done(&why);
}

/* What can be said of the call now: it is over, or others are asked. quiet: not that it is over. */
static void call_step(rpc_call *c, uint64_t now, bool quiet)
{
    size_t most, asked = 0, open = 0, quorum = c->how.quorum;
    const vote *best = votes_count(c, &most);

    if (most >= quorum) {
        if (!quiet)
            call_end(c, best->end, best->text);
        return;
    }
    for (size_t i = 0; i < c->r->o.n_urls; i++) {
        asked += c->votes[i].state == VOTE_ASKED;
        open += may_answer(c, i, now);
    }
    if (quiet && (now >= c->deadline_ms || most + asked + open < quorum))
        return;
    if (now >= c->deadline_ms)
        call_fail(c, "no endpoint has answered in time");
    else if (most + asked + open < quorum)
        call_fail(c, best != NULL ? "the endpoints do not agree" : "no endpoint answers");
    else if (most + asked < quorum)
        call_spread(c, quorum - most - asked, now);
}

/* ---- asking ---- */

rpc_call *rpc_ask(rpc *r, const char *method, const char *params, const rpc_how *how, rpc_done done,
                  void *arg)
{
    rpc_call *c;

    if (r->n_waiting >= r->o.max_calls)
        return NULL;
    c = must_alloc(sizeof *c + r->o.n_urls * sizeof *c->votes);
    c->r = r;
    c->id = ++r->next_id;
    c->deadline_ms = rpc_now(r) + r->o.patience_ms;
    c->how = how != NULL ? *how : (rpc_how){.quorum = 0};
    if (c->how.quorum == 0)
        c->how.quorum = r->o.quorum;
    c->method = must_strdup(method);
    c->params = must_strdup(params);
    c->done = done;
    c->arg = arg;
    c->at = r->last;
    *r->last = c;
    r->last = &c->next;
    r->s.metrics->set(r->waiting, (double)++r->n_waiting);
    return c;
}

void rpc_forget(rpc_call *c)
{
    if (!c->over)
        call_over(c);
}

void rpc_flush(rpc *r)
{
    r->again = true;
    if (r->flushing)
        return; /* done() asks on: the walk below goes on */
    r->flushing = true;
    while (r->again) {
        uint64_t now = rpc_now(r);

        r->again = false;
        for (rpc_call *c = r->calls, *next; c != NULL; c = next) {
            if (!c->over)
                call_step(c, now, false);
            next = c->next;
            if (c->over && c->requests == 0)
                call_free(c);
        }
        posts_send(r);
    }
    r->flushing = false;
}

void rpc_push(rpc *r)
{
    uint64_t now = rpc_now(r);

    if (r->flushing) {
        r->again = true;
        return;
    }
    for (rpc_call *c = r->calls; c != NULL; c = c->next)
        if (!c->over)
            call_step(c, now, true);
    posts_send(r);
}

void rpc_give_up(rpc *r)
{
    posts_drop(r, true);
    r->flushing = true; /* done() must not have them freed under our feet */
    for (rpc_call *c = r->calls; c != NULL; c = c->next)
        if (!c->over)
            call_fail(c, "the plugin is leaving");
    while (r->calls != NULL)
        call_free(r->calls);
    r->flushing = false;
}

size_t rpc_waiting(const rpc *r)
{
    return r->n_waiting;
}

/* ---- how the endpoints are ---- */

void rpc_health(rpc *r)
{
    size_t well = 0;
    bool degraded;

    for (size_t i = 0; i < r->o.n_urls; i++)
        well += r->endpoints[i].failures < RPC_FAILURES;
    degraded = well < r->o.quorum;
    r->s.metrics->set(r->answering, (double)well);
    if (degraded != r->degraded) {
        char why[120];

        snprintf(why, sizeof why,
                 "the chain cannot be asked: %zu of %zu endpoints answer, %zu "
                 "must",
                 well, r->o.n_urls, r->o.quorum);
        r->s.node->state(r->s.ctx, degraded ? BROKER_STATE_DEGRADED : BROKER_STATE_READY,
                         degraded ? why : "the chain can be asked again");
    }
    r->degraded = degraded;
}

/* Endpoints that failed are tried when their pause is over, whether anybody asks or not; one
 * request is enough for that. */
static void on_tick(void *arg)
{
    rpc *r = arg;
    uint64_t now = rpc_now(r);

    rpc_flush(r);
    for (size_t i = 0; i < r->o.n_urls; i++) {
        endpoint *e = &r->endpoints[i];

        if ((!e->known || e->failures != 0) && e->requests == 0 && endpoint_is_usable(e, now))
            post_check(r, e);
    }
}

/* ---- life ---- */

rpc *rpc_new(const rpc_options *o, const rpc_services *s)
{
    rpc *r = must_alloc(sizeof *r);

    must(o->n_urls > 0 && o->n_urls <= RPC_ENDPOINTS && o->quorum > 0 && o->quorum <= o->n_urls);
    r->s = *s;
    r->o = *o;
    for (size_t i = 0; i < o->n_urls; i++) {
        endpoint_init(&r->endpoints[i], o->urls[i]);
        r->o.urls[i] = NULL;
    }
    r->last = &r->calls;
    return r;
}

static broker_rc metrics_make(rpc *r)
{
    static const char calls[] = "Questions to the chain, by how they ended.";
    static const char requests[] = "Requests to endpoints, by whether they were answered.";
    const broker_metrics *m = r->s.metrics;
    broker_ctx *ctx = r->s.ctx;
    const struct {
        const char *name, *labels, *help;
        broker_metric **out;
    } counters[] = {
        {"questions_total", "end=\"result\"", calls, &r->ends[RPC_RESULT]},
        {"questions_total", "end=\"reverted\"", calls, &r->ends[RPC_REVERTED]},
        {"questions_total", "end=\"failed\"", calls, &r->ends[RPC_FAILED]},
        {"requests_total", "result=\"ok\"", requests, &r->requests[0]},
        {"requests_total", "result=\"failed\"", requests, &r->requests[1]},
    };
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; i < COUNT_OF(counters) && rc == BROKER_OK; i++)
        rc = m->counter(ctx, counters[i].name, counters[i].labels, counters[i].help,
                        counters[i].out);
    if (rc == BROKER_OK)
        rc = m->gauge(ctx, "questions_waiting", NULL, "Questions without an answer yet.",
                      &r->waiting);
    if (rc == BROKER_OK)
        rc = m->gauge(ctx, "endpoints_answering", NULL,
                      "Endpoints that have not failed three times in a row.", &r->answering);
    return rc;
}

broker_rc rpc_open(rpc *r)
{
    broker_rc rc = metrics_make(r);

    if (rc == BROKER_OK)
        rc = r->s.work->timer(r->s.ctx, 0, RPC_TICK_MS, on_tick, r, &r->timer);
    if (rc == BROKER_OK)
        r->s.metrics->set(r->answering, (double)r->o.n_urls);
    return rc;
}

void rpc_close(rpc *r)
{
    must(r->calls == NULL && r->posts == NULL);
    r->s.work->timer_stop(r->timer);
    r->timer = NULL;
}

void rpc_free(rpc *r)
{
    if (r == NULL)
        return;
    posts_drop(r, false); /* the host has ended them */
    while (r->calls != NULL)
        call_free(r->calls);
    for (size_t i = 0; i < r->o.n_urls; i++)
        endpoint_done(&r->endpoints[i]);
    free(r);
}
