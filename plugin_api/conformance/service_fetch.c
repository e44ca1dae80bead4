/* service_fetch -- "broker.fetch/1" of the kit: an internet in which things go well, badly
 * and slowly in turn. */
#include "kit.h"

#include <strings.h>

#define FETCH   0x66657463u
#define SLOW_MS 50u

struct broker_fetch_job {
    object o;
    void *self;
    void (*on_part)(void *self, broker_bytes part);
    void (*on_done)(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why);
    unsigned result;
    bool over, inside; /* a callback of it runs */
    kit_timer *timer;
};

static void job_end(broker_fetch_job *j)
{
    if (j->timer != NULL)
        kit_timer_free(j->timer);
    j->timer = NULL;
    if (!j->over)
        atomic_fetch_sub(&j->o.kit->fetches, 1);
    j->over = true;
}

static void job_free(object *o)
{
    job_end(CONTAINER_OF(o, broker_fetch_job, o));
    free(CONTAINER_OF(o, broker_fetch_job, o));
}

static void job_done(void *arg)
{
    static const struct {
        broker_rc rc;
        uint32_t status;
        const char *body, *why;
    } results[] = {
        {BROKER_OK, 200, "{\"ok\":true}", NULL},
        {BROKER_EIO, 0, "", "connection refused"},
        {BROKER_OK, 503, "later", NULL},
        {BROKER_EIO, 0, "", "timed out"},
        {BROKER_OK, 404, "", NULL},
        {BROKER_OK, 200, "", NULL},
    };
    broker_fetch_job *j = arg;
    size_t i = j->result % COUNT_OF(results);
    char *body = must_strdup(results[i].body); /* borrowed until on_done() returns */
    broker_bytes bytes = {(const uint8_t *)body, strlen(body)};

    j->inside = true;
    if (j->on_part != NULL && bytes.len != 0) {
        CROSS("on_part", j->on_part(j->self, bytes));
        bytes.len = 0;
        if (j->over) { /* cancelled in there */
            j->inside = false;
            free(body);
            return;
        }
    }
    job_end(j);
    CROSS("on_done", j->on_done(j->self, results[i].rc, results[i].status, bytes, results[i].why));
    j->inside = false;
    free(body);
}

static broker_rc start(broker_ctx *ctx, const broker_fetch_request *what, broker_fetch_job **out)
{
    kit *k = kit_of(ctx);
    broker_fetch_job *j;

    if (called(k, CALL_fetch_start))
        return refuse(k, CALL_fetch_start);
    if (what == NULL || out == NULL ||
        !size_is_said(what->size, sizeof *what, "broker_fetch_request"))
        return BROKER_EINVAL;
    if (what->url == NULL ||
        (strncmp(what->url, "http://", 7) != 0 && strncmp(what->url, "https://", 8) != 0) ||
        what->on_done == NULL || what->method == NULL) {
        finding("fetch.start() was given no http or https URL, no method or no on_done");
        return BROKER_EINVAL;
    }
    if (what->timeout_ms == 0)
        finding("fetch.start() was given no timeout_ms; a peer may never answer");
    j = must_alloc(sizeof *j);
    j->self = what->self;
    j->on_part = what->on_part;
    j->on_done = what->on_done;
    j->result = k->fetch_result++;
    object_init(k, &j->o, FETCH, job_free);
    atomic_fetch_add(&k->fetches, 1);
    /* job_done() ends the timer before it calls the plugin. */
    j->timer = kit_timer_new(j->result % 6 == 3 ? what->timeout_ms : SLOW_MS, 0, job_done, j);
    *out = j;
    return BROKER_OK;
}

static void cancel(broker_fetch_job *j)
{
    if (called_on(j, FETCH, CALL_fetch_cancel) == NULL)
        return;
    if (j->over)
        finding("fetch.cancel() was called on a fetch that was over");
    job_end(j);
}

static broker_str header(broker_fetch_job *j, const char *name)
{
    static const char seconds[] = "1";

    if (called_on(j, FETCH, CALL_fetch_header) == NULL)
        return (broker_str){NULL, 0};
    if (!j->inside)
        finding("fetch.header() was called outside of on_part() and on_done()");
    /* With "later" comes how much later. */
    if (j->result % 6 == 2 && strcasecmp(name, "Retry-After") == 0)
        return (broker_str){seconds, 1};
    return (broker_str){NULL, 0};
}

const broker_fetch kit_fetch = {sizeof kit_fetch, 0, start, cancel, header};
