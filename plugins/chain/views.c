/* views -- see views.h. */
#include "views.h"

#include "contract.h"
#include "eth/eth.h"

#include <string.h>

/* A question that is being asked, and who waits for it. */
typedef struct asking {
    struct asking *next, **at;
    views *v;
    view_kind kind;
    fact_key key;
    uint64_t asked_ms;
    bool stale; /* it changed meanwhile: the answer is not kept */
    view_wait *first, **last;
} asking;

#define BUCKETS 256u

struct views {
    views_options o;
    rpc_services s;
    rpc *rpc;
    facts *facts;
    asking *buckets[BUCKETS];
    size_t n_asking;
    broker_metric *known, *asked, *count;
};

/* ---- keys ---- */

static void mark_of(broker_str stream, uint8_t mark[8])
{
    uint8_t hash[32];

    eth_keccak256(stream.ptr, stream.len, hash);
    memcpy(mark, hash, 8);
}

/* Publishing and subscribing are one question. */
static fact_key key_of(const view_question *q)
{
    fact_key key = {.mark = {0}};
    bool about_signer = q->kind == VIEW_SIGNER;
    uint8_t kind = q->kind == VIEW_MAY_SUBSCRIBE ? VIEW_MAY_PUBLISH : (uint8_t)q->kind, len[8];
    eth_part parts[] = {
        {&kind, 1},
        {len, 8},
        {q->stream.ptr, about_signer ? 0 : q->stream.len},
        {q->user.ptr, q->kind == VIEW_PARTITIONS ? 0 : q->user.len},
        {q->signer, about_signer ? 20 : 0},
    };

    put_u64be(len, parts[2].len);
    eth_keccak256_parts(parts, COUNT_OF(parts), key.bytes);
    if (!about_signer)
        mark_of(q->stream, key.mark);
    return key;
}

static asking **bucket_of(views *v, const fact_key *key)
{
    return &v->buckets[key->bytes[31] % BUCKETS];
}

static asking *asking_find(views *v, const fact_key *key)
{
    asking *a = *bucket_of(v, key);

    while (a != NULL && memcmp(&a->key, key, sizeof *key) != 0)
        a = a->next;
    return a;
}

/* ---- what a fact means ---- */

static uint64_t now_ms(const views *v)
{
    return v->s.work->now_ms(v->s.ctx);
}

static int64_t value_of(const views *v, view_kind kind, const fact *f)
{
    int64_t now_s = v->s.work->clock_ms(v->s.ctx) / 1000;

    if (kind == VIEW_MAY_PUBLISH)
        return f->a > now_s;
    if (kind == VIEW_MAY_SUBSCRIBE)
        return f->b > now_s;
    return f->a;
}

static bool is_fresh(const views *v, const view_question *q, const fact *f, int64_t value)
{
    uint64_t age = now_ms(v) - f->asked_ms;
    bool granted = q->kind == VIEW_PARTITIONS ? value > (int64_t)q->partition : value > 0;

    if (!granted)
        return age < v->o.denied_ms;
    return age < (q->kind == VIEW_SIGNER ? v->o.signer_age_ms : v->o.max_age_ms);
}

/* ---- answers ---- */

/* False: it cannot be what the contract returns; *why says so. */
static bool fact_read(view_kind kind, rpc_end end, const char *text, fact *f, const char **why)
{
    contract_rights rights = {0, 0};
    bool ok = end == RPC_REVERTED; /* no such stream, or the contract does not take it: nothing */

    *why = "the registry's answer is not one; is its address right?";
    if (end == RPC_RESULT) {
        switch (kind) {
        case VIEW_PARTITIONS:
            ok = contract_read_partitions(text, &f->a);
            break;
        case VIEW_STORED_BY:
            ok = contract_read_bool(text, &f->a);
            break;
        case VIEW_SIGNER:
            f->a = contract_read_is_magic(text);
            ok = true;
            break;
        default:
            ok = contract_read_permissions(text, &rights);
            f->a = rights.publish_until_s;
            f->b = rights.subscribe_until_s;
        }
    }
    if (end == RPC_FAILED)
        *why = text;
    return ok;
}

/* A refusal makes the rest of what is known of its stream doubtful. */
static void remember(views *v, const asking *a, const fact *f)
{
    bool denied = a->kind <= VIEW_MAY_SUBSCRIBE && value_of(v, VIEW_MAY_PUBLISH, f) == 0;
    uint64_t now = now_ms(v);

    facts_put(v->facts, &a->key, f);
    if (denied && now > v->o.denied_ms)
        facts_drop_older(v->facts, a->key.mark, now - v->o.denied_ms);
    v->s.metrics->set(v->count, (double)facts_count(v->facts));
}

static void asking_end(asking *a)
{
    *a->at = a->next;
    if (a->next != NULL)
        a->next->at = a->at;
    a->v->n_asking--;
}

static view_wait *wait_take(asking *a)
{
    view_wait *w = a->first;

    a->first = w->next;
    if (a->first != NULL)
        a->first->at = &a->first;
    else
        a->last = &a->first;
    w->at = NULL;
    return w;
}

static void on_rpc(void *arg, rpc_end end, const char *text)
{
    asking *a = arg;
    views *v = a->v;
    fact f = {.asked_ms = a->asked_ms};
    const char *why;
    bool found = fact_read(a->kind, end, text, &f, &why);

    if (found && !a->stale)
        remember(v, a, &f);
    asking_end(a);
    while (a->first != NULL) {
        view_wait *w = wait_take(a);

        w->done(w, found, found ? value_of(v, w->kind, &f) : 0, why);
    }
    free(a);
}

/* ---- asking ---- */

static void put_call(const views *v, const view_question *q, sb *out)
{
    switch (q->kind) {
    case VIEW_PARTITIONS:
        contract_metadata(out, v->o.stream_registry, q->stream);
        break;
    case VIEW_STORED_BY:
        contract_is_storage_node(out, v->o.storage_registry, q->stream, q->user.ptr);
        break;
    case VIEW_SIGNER:
        contract_is_valid_signature(out, q->user.ptr, q->digest, q->signature);
        break;
    default:
        contract_permissions(out, v->o.stream_registry, q->stream, q->user);
    }
}

static asking *asking_new(views *v, const view_question *q, const fact_key *key)
{
    asking *a = must_alloc(sizeof *a), **at = bucket_of(v, key);
    sb params = SB_INIT;

    a->v = v;
    a->kind = q->kind;
    a->key = *key;
    a->asked_ms = now_ms(v);
    a->last = &a->first;
    put_call(v, q, &params);
    if (rpc_ask(v->rpc, "eth_call", params.data, NULL, on_rpc, a) == NULL) {
        sb_done(&params);
        free(a);
        return NULL;
    }
    sb_done(&params);
    a->next = *at;
    a->at = at;
    if (a->next != NULL)
        a->next->at = &a->next;
    *at = a;
    v->n_asking++;
    return a;
}

broker_rc views_ask(views *v, const view_question *q, view_wait *w, int64_t *value)
{
    fact_key key = key_of(q);
    const fact *f = facts_get(v->facts, &key);
    asking *a;

    if (f != NULL) {
        int64_t said = value_of(v, q->kind, f);

        if (!q->anew && is_fresh(v, q, f, said)) {
            v->s.metrics->add(v->known, 1);
            *value = said;
            return BROKER_OK;
        }
    }
    v->s.metrics->add(v->asked, 1);
    a = asking_find(v, &key);
    if (a == NULL)
        a = asking_new(v, q, &key);
    if (a == NULL)
        return BROKER_EBUSY;
    w->kind = q->kind;
    w->next = NULL;
    w->at = a->last;
    w->last = &a->last;
    *a->last = w;
    a->last = &w->next;
    return BROKER_AGAIN;
}

void views_forget(view_wait *w)
{
    if (w->at == NULL)
        return;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    else
        *w->last = w->at;
    w->at = NULL;
}

void views_changed(views *v, broker_str stream)
{
    bool any = stream.len == 0;
    uint8_t mark[8];

    mark_of(stream, mark);
    facts_drop_older(v->facts, any ? NULL : mark, UINT64_MAX);
    for (size_t i = 0; i < BUCKETS; i++)
        for (asking *a = v->buckets[i]; a != NULL; a = a->next)
            a->stale = a->stale || any || memcmp(a->key.mark, mark, sizeof mark) == 0;
}

size_t views_asking(const views *v)
{
    return v->n_asking;
}

/* ---- life ---- */

views *views_new(const views_options *o, const rpc_services *s, rpc *r)
{
    views *v = must_alloc(sizeof *v);

    v->o = *o;
    v->s = *s;
    v->rpc = r;
    v->facts = facts_new(o->max_facts);
    return v;
}

broker_rc views_open(views *v)
{
    const broker_metrics *m = v->s.metrics;
    broker_rc rc =
        m->counter(v->s.ctx, "lookups_total", "from=\"memory\"",
                   "What was asked of this plugin, by where the answer is from.", &v->known);

    if (rc == BROKER_OK)
        rc = m->counter(v->s.ctx, "lookups_total", "from=\"chain\"", "", &v->asked);
    if (rc == BROKER_OK)
        rc = m->gauge(v->s.ctx, "facts", NULL, "Answers of the chain in memory.", &v->count);
    return rc;
}

void views_free(views *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (asking *a = v->buckets[i], *next; a != NULL; a = next) {
            next = a->next;
            free(a);
        }
    facts_free(v->facts);
    free(v);
}

void views_save(const views *v, sb *out)
{
    uint64_t now = now_ms(v);

    facts_save(v->facts, now > v->o.max_age_ms ? now - v->o.max_age_ms : 0, out);
}

bool views_load(views *v, const void *bytes, size_t len)
{
    return facts_load(v->facts, bytes, len, now_ms(v));
}
