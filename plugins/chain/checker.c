/* checker -- see checker.h. An inquiry is one check of the host's; a line of it is one message. */
#include "checker.h"

#include "eth/eth.h"
#include "lane.h"
#include "streamr/streamr.h"

#include <string.h>

struct checker {
    rpc_services s;
    const broker_verify *verify;
    views *views;
    rpc *rpc;
    lanes *lanes;
    size_t open;
};

typedef struct inquiry inquiry;

typedef struct line {
    view_wait wait;
    inquiry *of;
    const broker_msg *m;
    lane_slot slot;
} line;

struct inquiry {
    checker *c;
    uint32_t kind;
    broker_check *check;
    size_t n, undecided, blocked; /* blocked: lines behind others in their lanes */
    inquiry *next_ready;
    int8_t *ok; /* behind lines */
    line lines[];
};

/* ---- the end of an inquiry ---- */

/* In a loop, not in each other: many may wait behind one. */
static void inquiry_leave(inquiry *q, inquiry **ready)
{
    checker *c = q->c;

    c->verify->answer(q->check, q->ok, q->n);
    c->open--;
    for (size_t i = 0; i < q->n; i++) {
        lane_slot *s = lane_leave(c->lanes, &q->lines[i].slot);
        inquiry *next = s != NULL ? s->owner : NULL;

        if (next != NULL && --next->blocked == 0 && next->undecided == 0) {
            next->next_ready = *ready;
            *ready = next;
        }
    }
    free(q);
}

static void inquiry_settle(inquiry *q)
{
    inquiry *ready = q;

    if (q->undecided != 0 || q->blocked != 0)
        return;
    while (ready != NULL) {
        inquiry *first = ready;

        ready = first->next_ready;
        inquiry_leave(first, &ready);
    }
}

static void line_end(line *l, int8_t verdict)
{
    inquiry *q = l->of;

    q->ok[l - q->lines] = verdict;
    q->undecided--;
}

/* ---- permissions ---- */

static void on_partitions(view_wait *w, bool found, int64_t value, const char *why)
{
    line *l = CONTAINER_OF(w, line, wait);
    inquiry *q = l->of;

    (void)why;
    line_end(l, found ? value > (int64_t)l->m->partition : -1);
    inquiry_settle(q);
}

/* False: the answer comes later. */
static bool partition_ask(line *l)
{
    view_question what = {
        .kind = VIEW_PARTITIONS, .stream = l->m->stream, .partition = l->m->partition};
    int64_t value;
    broker_rc rc;

    l->wait.done = on_partitions;
    rc = views_ask(l->of->c->views, &what, &l->wait, &value);
    if (rc == BROKER_AGAIN)
        return false;
    line_end(l, rc != BROKER_OK ? -1 : value > (int64_t)l->m->partition);
    return true;
}

/* A stream that one may publish to has a partition 0. */
static bool permission_decides(line *l, int64_t may)
{
    if (may != 0 && l->m->partition != 0)
        return partition_ask(l);
    line_end(l, may != 0);
    return true;
}

static void on_permission(view_wait *w, bool found, int64_t value, const char *why)
{
    line *l = CONTAINER_OF(w, line, wait);
    inquiry *q = l->of;

    (void)why;
    if (!found)
        line_end(l, -1);
    else if (!permission_decides(l, value))
        return;
    inquiry_settle(q);
}

static void permission_ask(line *l)
{
    view_question what = {
        .kind = VIEW_MAY_PUBLISH, .stream = l->m->stream, .user = l->m->publisher};
    int64_t may;
    broker_rc rc;

    l->wait.done = on_permission;
    rc = views_ask(l->of->c->views, &what, &l->wait, &may);
    if (rc == BROKER_OK)
        permission_decides(l, may);
    else if (rc != BROKER_AGAIN)
        line_end(l, -1);
}

/* ---- signatures of contracts ---- */

static void on_signer(view_wait *w, bool found, int64_t value, const char *why)
{
    line *l = CONTAINER_OF(w, line, wait);
    inquiry *q = l->of;

    (void)why;
    line_end(l, found ? value != 0 : -1);
    inquiry_settle(q);
}

static void signer_ask(line *l)
{
    const broker_msg *m = l->m;
    uint8_t digest[32], pub[64], signer[20];
    view_question what = {.kind = VIEW_SIGNER,
                          .user = m->publisher,
                          .signer = signer,
                          .digest = digest,
                          .signature = m->signature};
    sb payload = SB_INIT;
    int64_t valid;
    broker_rc rc;

    streamr_signed_payload(m, &payload);
    eth_personal_digest(&(eth_part){payload.data, payload.len}, 1, digest);
    sb_done(&payload);
    /* What a contract says is remembered by signer, so there has to be one. */
    if (m->publisher.len != 20 || m->signature.len != 65 ||
        !eth_recover(digest, m->signature.ptr, pub)) {
        line_end(l, 0);
        return;
    }
    eth_address_of(pub, signer);
    l->wait.done = on_signer;
    rc = views_ask(l->of->c->views, &what, &l->wait, &valid);
    if (rc == BROKER_OK)
        line_end(l, valid != 0);
    else if (rc != BROKER_AGAIN)
        line_end(l, -1);
}

/* ---- checks ---- */

static uint64_t lane_of(uint32_t kind, const broker_msg *m)
{
    return hash_bytes(m->stream.ptr, m->stream.len) * 31 +
           hash_bytes(m->publisher.ptr, m->publisher.len) + kind;
}

static void on_check(void *self, uint32_t kind, const broker_msg *const *msgs, size_t n,
                     broker_check *check)
{
    checker *c = self;
    inquiry *q = must_alloc(sizeof *q + n * (sizeof *q->lines + sizeof *q->ok));

    *q = (inquiry){.c = c, .kind = kind, .check = check, .n = n, .undecided = n};
    q->ok = (int8_t *)(q->lines + n);
    c->open++;
    for (size_t i = 0; i < n; i++) {
        line *l = &q->lines[i];

        l->of = q;
        l->m = msgs[i];
        if (!lane_enter(c->lanes, &l->slot, lane_of(kind, l->m), q))
            q->blocked++;
    }
    for (size_t i = 0; i < n; i++) {
        if (kind == BROKER_CHECK_MAY_PUBLISH)
            permission_ask(&q->lines[i]);
        else
            signer_ask(&q->lines[i]);
    }
    inquiry_settle(q);
    rpc_flush(c->rpc);
}

/* ---- life ---- */

checker *checker_new(const rpc_services *s, views *v, rpc *r, const broker_verify *verify)
{
    checker *c = must_alloc(sizeof *c);

    c->s = *s;
    c->views = v;
    c->rpc = r;
    c->verify = verify;
    c->lanes = lanes_new();
    return c;
}

broker_rc checker_offer(checker *c)
{
    broker_checker offer = {.size = sizeof offer,
                            .kinds = BROKER_CHECK_MAY_PUBLISH | BROKER_CHECK_ERC_1271,
                            .self = c,
                            .check = on_check};

    return c->verify->offer(c->s.ctx, &offer);
}

size_t checker_open(const checker *c)
{
    return c->open;
}

void checker_free(checker *c)
{
    if (c == NULL)
        return;
    lanes_free(c->lanes);
    free(c);
}
