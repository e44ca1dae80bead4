/* crossing -- requests and answers that are under way when a build is swapped. */
#include "request.h"

#define DEADLINE_NS (10ull * 1000000000u)
#define SAVED_MAX   (1u << 20)

typedef struct body_save {
    broker_req *q;
    broker_rc rc;
    sb bytes;
} body_save;

static void bytes_take(kit_writer *w, sb *to)
{
    sb_clear(to);
    sb_append(to, w->bytes.data != NULL ? w->bytes.data : "", w->bytes.len);
    sb_done(&w->bytes);
}

static void body_save_run(void *arg)
{
    body_save *s = arg;
    kit_writer w;

    writer_init(&w, SAVED_MAX);
    CROSS("save", s->rc = s->q->body.save(s->q->body.self, &w.w));
    bytes_take(&w, &s->bytes);
}

/* A negative code is an answer that will be cut. */
static bool body_saved(broker_req *q, sb *out)
{
    body_save s = {q, BROKER_EIO, SB_INIT};

    kit_submit(q, 1, body_save_run, &s);
    kit_run(0);
    answer_close(q);
    kit_run(0);
    *out = s.bytes;
    return s.rc == BROKER_OK;
}

static bool intake_saved(broker_req *q, sb *out)
{
    uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
    broker_rc rc = BROKER_AGAIN;
    kit_writer w;

    while (rc == BROKER_AGAIN && clock_mono_ns() < deadline) {
        writer_init(&w, SAVED_MAX);
        CROSS("save", rc = q->intake.save(q->intake.self, q, &w.w));
        bytes_take(&w, out);
        kit_run(5);
    }
    if (rc == BROKER_AGAIN)
        finding("save() of %s %s said BROKER_AGAIN for 10 seconds", q->route->method,
                q->route->path);
    q->over = true; /* it is the next build's */
    if (q->end == STREAMED) {
        answer_close(q);
        kit_run(0);
    } else {
        q->end = REPLIED;
        atomic_fetch_sub(&q->o.kit->requests, 1);
    }
    return rc == BROKER_OK;
}

crossing *crossing_save(kit *k)
{
    crossing *all = NULL;

    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_req *q = CONTAINER_OF(o, broker_req, o);
        bool answers, reading, is_body, reads, ok;
        crossing *c;

        if (o->magic != REQUEST || !q->plan.held)
            continue;
        answers = q->end == STREAMED && !q->closed;
        reading = q->received && !q->over && (answers || q->end == OPEN);
        /* intake.save() saves an answer beside it too. */
        reads = reading && q->intake.save != NULL;
        is_body = answers && !reading && q->body.save != NULL;
        if (!is_body && !reads)
            continue;
        c = must_alloc(sizeof *c);
        *c = (crossing){all,
                        must_strdup(q->route->method),
                        must_strdup(q->route->path),
                        is_body,
                        q->sent,
                        q->plan,
                        SB_INIT};
        ok = is_body ? body_saved(q, &c->saved) : intake_saved(q, &c->saved);
        if (ok)
            all = c;
        else
            crossing_free(c);
    }
    /* The others: the swap waits for their end. */
    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_req *q = CONTAINER_OF(o, broker_req, o);

        if (o->magic != REQUEST || !q->plan.held)
            continue;
        q->plan.held = false;
        if (q->end == STREAMED)
            answer_pull(q);
        if (q->end != REPLIED && q->received)
            request_go_on(q);
    }
    http_finish(k);
    return all;
}

void crossing_resume(kit *k, const crossing *c, size_t cut)
{
    uint8_t *copy = must_alloc(cut + 1); /* borrowed, exactly so long */
    broker_bytes saved = {copy, cut};
    broker_rc rc = BROKER_OK;
    route *r = NULL;
    broker_req *q;

    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == ROUTE && strcmp(CONTAINER_OF(o, route, o)->path, c->path) == 0 &&
            strcmp(CONTAINER_OF(o, route, o)->method, c->method) == 0)
            r = CONTAINER_OF(o, route, o);
    if (cut != 0)
        memcpy(copy, c->saved.data, cut);
    if (r != NULL && (c->is_body ? r->r.resume_body != NULL : r->r.resume_req != NULL)) {
        q = request_new(r, &c->plan);
        q->plan.held = false;
        q->sent = c->sent;
        if (c->is_body) {
            q->body.size = sizeof q->body;
            CROSS("resume_body", rc = r->r.resume_body(r->r.self, q, saved, &q->body));
            q->end = rc == BROKER_OK ? STREAMED : REPLIED; /* or it is cut */
            if (rc != BROKER_OK)
                atomic_fetch_sub(&k->requests, 1);
            else if (q->body.pull == NULL || q->body.close == NULL)
                finding("resume_body() said BROKER_OK and set no pull() or no close()");
            else
                answer_pull(q);
        } else {
            CROSS("resume_req", r->r.resume_req(r->r.self, q, saved));
        }
    }
    memset(copy, 0xdd, cut + 1);
    free(copy);
    http_finish(k);
}

void crossing_free(crossing *c)
{
    free(c->method);
    free(c->path);
    sb_done(&c->saved);
    free(c);
}
