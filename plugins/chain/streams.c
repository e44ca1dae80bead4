/* streams -- see streams.h. */
#include "streams.h"

#include "base/base.h"

#include <string.h>

typedef struct asked {
    struct asked *next, **at;
    view_wait wait;
    streams *s;
    chain_answer answer;
    void *arg;
} asked;

struct streams {
    views *views;
    rpc *rpc;
    events *events;
    uint64_t build;
    bool leaving;
    asked *open;
};

/* ---- questions ---- */

static void asked_free(asked *a)
{
    *a->at = a->next;
    if (a->next != NULL)
        a->next->at = a->at;
    free(a);
}

static void on_view(view_wait *w, bool found, int64_t value, const char *why)
{
    asked *a = CONTAINER_OF(w, asked, wait);
    chain_answer answer = a->answer;
    void *arg = a->arg;
    broker_rc rc = found ? BROKER_OK : a->s->leaving ? BROKER_EGONE : BROKER_EIO;

    asked_free(a);
    answer(arg, rc, value, found ? NULL : why);
}

static bool question_read(const chain_question *q, view_question *out)
{
    static const view_kind kinds[] = {
        [CHAIN_PARTITIONS] = VIEW_PARTITIONS,
        [CHAIN_MAY_PUBLISH] = VIEW_MAY_PUBLISH,
        [CHAIN_MAY_SUBSCRIBE] = VIEW_MAY_SUBSCRIBE,
        [CHAIN_STORED_BY] = VIEW_STORED_BY,
    };

    if (q == NULL || q->size < offsetof(chain_question, flags) || q->what < CHAIN_PARTITIONS ||
        q->what > CHAIN_STORED_BY || q->stream.len == 0 ||
        (q->what != CHAIN_PARTITIONS && q->user.len == 0) ||
        (q->what == CHAIN_STORED_BY && q->user.len != 20))
        return false;
    *out = (view_question){.kind = kinds[q->what],
                           .stream = q->stream,
                           .user = q->user,
                           .anew = BROKER_HAS(q, chain_question, flags) &&
                                   (q->flags & CHAIN_ANEW) != 0};
    return true;
}

static broker_rc ask(void *self, const chain_question *q, int64_t *value, chain_answer answer,
                     void *arg)
{
    streams *s = self;
    view_question what;
    asked *a;
    broker_rc rc;

    if (answer == NULL || value == NULL || !question_read(q, &what))
        return BROKER_EINVAL;
    if (s->leaving)
        return BROKER_EGONE;
    a = must_alloc(sizeof *a);
    *a = (asked){.next = s->open, .at = &s->open, .s = s, .answer = answer, .arg = arg};
    if (a->next != NULL)
        a->next->at = &a->next;
    s->open = a;
    a->wait.done = on_view;
    rc = views_ask(s->views, &what, &a->wait, value);
    if (rc == BROKER_AGAIN)
        rpc_push(s->rpc);
    else
        asked_free(a);
    return rc;
}

static void cancel(void *self, void *arg)
{
    streams *s = self;

    for (asked *a = s->open, *next; a != NULL; a = next) {
        next = a->next;
        if (a->arg != arg)
            continue;
        views_forget(&a->wait);
        asked_free(a);
    }
}

/* ---- events ---- */

static broker_rc follow(void *self, const uint8_t node[20], chain_on_storage on_storage, void *arg,
                        chain_follower **out)
{
    streams *s = self;

    if (on_storage == NULL || out == NULL)
        return BROKER_EINVAL;
    if (s->events == NULL)
        return BROKER_ENOSYS;
    *out = events_follow(s->events, node, on_storage, arg);
    return BROKER_OK;
}

static void unfollow(void *self, chain_follower *f)
{
    streams *s = self;

    events_unfollow(s->events, f);
}

static uint64_t position(void *self)
{
    streams *s = self;

    return s->events != NULL ? events_position(s->events) : 0;
}

static void go_back(void *self, uint64_t block)
{
    streams *s = self;

    if (s->events != NULL)
        events_go_back(s->events, block);
}

/* ---- life ---- */

static uint64_t build(void *self)
{
    return ((streams *)self)->build;
}

streams *streams_new(views *v, rpc *r, events *e)
{
    streams *s = must_alloc(sizeof *s);

    s->views = v;
    s->rpc = r;
    s->events = e;
    random_bytes(&s->build, sizeof s->build);
    return s;
}

broker_rc streams_offer(streams *s, broker_ctx *ctx, const broker_registry *registry)
{
    static const chain_streams table = {sizeof table, 0,     ask,      cancel, follow,
                                        unfollow,     build, position, go_back};

    s->leaving = false;
    return registry->offer(ctx, CHAIN_STREAMS_ID, &table, s);
}

void streams_leave(streams *s)
{
    s->leaving = true;
}

void streams_free(streams *s)
{
    if (s == NULL)
        return;
    for (asked *a = s->open, *next; a != NULL; a = next) {
        next = a->next;
        free(a);
    }
    free(s);
}
