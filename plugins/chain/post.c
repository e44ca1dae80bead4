/* post -- requests to endpoints: filled with calls, sent, and taken apart when they are answered.
 */
#include "answer.h"
#include "rpc_parts.h"

#include <broker/plugin_log.h>

#include <string.h>

static post *post_new(rpc *r, endpoint *e)
{
    post *p = must_alloc(sizeof *p);

    p->r = r;
    p->to = e;
    p->at = &r->posts;
    p->next = r->posts;
    if (p->next != NULL)
        p->next->at = &p->next;
    r->posts = p;
    e->requests++;
    return p;
}

static void post_free(post *p)
{
    *p->at = p->next;
    if (p->next != NULL)
        p->next->at = p->at;
    p->to->requests--;
    if (p->check_id != 0)
        p->to->checking = false;
    for (size_t i = 0; i < p->n; i++)
        call_left(p->calls[i]);
    free(p);
}

static size_t index_of(const post *p)
{
    return (size_t)(p->to - p->r->endpoints);
}

/* ---- what went wrong ---- */

static void endpoint_wrong(rpc *r, endpoint *e, uint32_t retry_s, const char *why)
{
    unsigned before = e->failures;
    uint64_t now = rpc_now(r);

    endpoint_failed(e, now, retry_s);
    if (before == 0 && e->failures == 1)
        broker_logf(r->s.ctx, BROKER_LOG_WARN, "cannot ask '%s' (%s), trying again in %llu ms",
                    e->name, why, (unsigned long long)(e->pause_end - now));
    else if (before < RPC_FAILURES && e->failures == RPC_FAILURES)
        broker_logf(r->s.ctx, BROKER_LOG_WARN, "'%s' still fails (%s); others are asked", e->name,
                    why);
    rpc_health(r);
}

static void endpoint_right(rpc *r, endpoint *e)
{
    if (e->failures >= RPC_FAILURES)
        broker_logf(r->s.ctx, BROKER_LOG_INFO, "'%s' answers again", e->name);
    endpoint_answered(e);
    rpc_health(r);
}

static void post_failed(post *p, uint32_t retry_s, const char *why)
{
    for (size_t i = 0; i < p->n; i++)
        call_unanswered(p->calls[i], index_of(p), why, true, true);
    p->r->s.metrics->add(p->r->requests[1], 1);
    endpoint_wrong(p->r, p->to, retry_s, why);
}

/* ---- answers ---- */

static void on_chain_id(post *p, const answer *a)
{
    uint64_t id;

    p->answered++;
    if (a->kind != ANSWER_RESULT || !answer_number(a->text, &id)) {
        endpoint_wrong(p->r, p->to, p->retry_s, "it does not tell its chain");
        return;
    }
    if (id != p->r->o.chain_id) {
        char why[100];

        p->to->known = false;
        snprintf(why, sizeof why, "it serves chain %llu, not %llu", (unsigned long long)id,
                 (unsigned long long)p->r->o.chain_id);
        p->to->failures = RPC_FAILURES; /* nobody waits for it */
        broker_logf(p->r->s.ctx, BROKER_LOG_ERROR, "'%s' is not asked: %s", p->to->name, why);
        endpoint_wrong(p->r, p->to, ENDPOINT_PAUSE_MAX_MS / 1000, why);
        return;
    }
    p->to->known = true;
    endpoint_right(p->r, p->to);
}

static rpc_call *call_of(const post *p, uint64_t id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->calls[i]->id == id)
            return p->calls[i];
    return NULL;
}

static void on_answer(void *arg, const answer *a)
{
    post *p = arg;
    rpc_call *c = call_of(p, a->id);

    if (p->check_id != 0) {
        if (a->id == p->check_id || a->kind == ANSWER_ERROR)
            on_chain_id(p, a);
        return;
    }
    if (a->kind == ANSWER_BUSY) {
        endpoint_wrong(p->r, p->to, p->retry_s, a->text);
        return;
    }
    if (c == NULL && p->n == 1 && a->id == 0)
        c = p->calls[0]; /* refused whole */
    if (c == NULL)
        return;
    p->answered++;
    if (a->kind == ANSWER_ERROR)
        call_unanswered(c, index_of(p), a->text, false, true);
    else
        call_answered(c, index_of(p), a->kind == ANSWER_RESULT ? RPC_RESULT : RPC_REVERTED,
                      a->text);
}

/* What it left out is asked again; when it left out all of many, one at a time. */
static void post_answered(post *p, bool readable)
{
    bool nothing = p->answered == 0;

    if (nothing && p->n > 1 && endpoint_is_usable(p->to, rpc_now(p->r))) {
        p->to->no_batches = true;
        for (size_t i = 0; i < p->n; i++)
            call_unanswered(p->calls[i], index_of(p), "it takes no batches", true, false);
        return;
    }
    if (nothing && endpoint_is_usable(p->to, rpc_now(p->r))) {
        post_failed(p, 0,
                    readable ? "an answer to something else" : "an answer that is not JSON-RPC");
        return;
    }
    for (size_t i = 0; i < p->n; i++)
        call_unanswered(p->calls[i], index_of(p), "it left out an answer", true, true);
    p->r->s.metrics->add(p->r->requests[0], 1);
    if (p->answered == p->n && p->n != 0)
        endpoint_right(p->r, p->to);
}

/* Seconds; a date is taken for nothing. */
static uint32_t retry_after(const post *p)
{
    broker_str text = p->r->s.fetch->header(p->job, "Retry-After");
    int64_t seconds;

    if (text.ptr == NULL || !parse_i64(text.ptr, text.len, &seconds) || seconds < 0)
        return 0;
    return seconds < UINT32_MAX / 1000 ? (uint32_t)seconds : UINT32_MAX / 1000;
}

static void on_done(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why)
{
    post *p = self;
    rpc *r = p->r;
    char said[48];

    if (rc == BROKER_OK && BROKER_HAS(r->s.fetch, broker_fetch, header))
        p->retry_s = retry_after(p);
    p->job = NULL;
    if (rc != BROKER_OK) {
        post_failed(p, 0, why != NULL ? why : "it cannot be reached");
    } else if (status == 429 || status >= 500) {
        snprintf(said, sizeof said, status == 429 ? "too many requests" : "HTTP status %u", status);
        post_failed(p, p->retry_s, said);
    } else {
        post_answered(p, answer_read(body.ptr, body.len, on_answer, p));
    }
    post_free(p);
    rpc_flush(r);
}

/* ---- sending ---- */

static void post_send(post *p, const sb *body)
{
    static const broker_header type = {"Content-Type", {"application/json", 16}};
    rpc *r = p->r;
    broker_fetch_request what = {.size = sizeof what,
                                 .timeout_ms = r->o.timeout_ms,
                                 .method = "POST",
                                 .url = p->to->url,
                                 .headers = &type,
                                 .n_headers = 1,
                                 .body = {(const uint8_t *)body->data, body->len},
                                 .max_answer = RPC_ANSWER_MAX,
                                 .self = p,
                                 .on_done = on_done};

    if (r->s.fetch->start(r->s.ctx, &what, &p->job) != BROKER_OK) {
        post_failed(p, 0, "no request can be made now");
        post_free(p);
        r->again = true;
    }
}

bool post_put(rpc *r, size_t who, rpc_call *c)
{
    endpoint *e = &r->endpoints[who];
    post **p = &r->filling[who];

    if (*p != NULL && (*p)->n == (e->no_batches ? 1 : RPC_BATCH))
        *p = NULL; /* full: it is in the list, and sent with the others */
    if (*p == NULL) {
        if (e->requests >= r->o.max_requests)
            return false;
        *p = post_new(r, e);
    }
    (*p)->calls[(*p)->n++] = c;
    return true;
}

static void post_write(const post *p, sb *body)
{
    bool list = p->n > 1;

    if (list)
        sb_putc(body, '[');
    for (size_t i = 0; i < p->n; i++) {
        if (i != 0)
            sb_putc(body, ',');
        answer_put_request(body, p->calls[i]->id, p->calls[i]->method, p->calls[i]->params);
    }
    if (list)
        sb_putc(body, ']');
}

void posts_send(rpc *r)
{
    for (post *p = r->posts, *next; p != NULL; p = next) {
        sb body = SB_INIT;

        next = p->next;
        if (p->job != NULL || p->check_id != 0)
            continue;
        post_write(p, &body);
        post_send(p, &body);
        sb_done(&body);
    }
    memset(r->filling, 0, sizeof r->filling);
}

void post_check(rpc *r, endpoint *e)
{
    post *p;
    sb body = SB_INIT;

    if (e->checking)
        return;
    e->checking = true;
    p = post_new(r, e);
    p->check_id = ++r->next_id;
    answer_put_request(&body, p->check_id, "eth_chainId", "[]");
    post_send(p, &body);
    sb_done(&body);
}

void posts_drop(rpc *r, bool cancel)
{
    while (r->posts != NULL) {
        if (cancel && r->posts->job != NULL)
            r->s.fetch->cancel(r->posts->job);
        post_free(r->posts);
    }
    memset(r->filling, 0, sizeof r->filling);
}
