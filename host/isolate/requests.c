/* requests -- the HTTP server, for an isolated plugin: its routes, the requests that come on them,
 * bodies both ways. [loop], but for what says [worker] */
#include "isolate/parts.h"
#include "isolate/response.h"
#include "isolate/stream.h"

#include "http/http.h"
#include "pack/pack.h"

static const char away[] =
    "{\"error\":\"the plugin that serves this path is being started again\"}";
static const char down[] = "{\"error\":\"the plugin that serves this path has failed\"}";
static const char none[] = "{\"error\":\"nothing is served at this path any more\"}";

/* A route. It outlives processes; id 0: the one there is has not asked for it. */
struct path {
    path *next;
    standin *s;
    uint32_t id, flags;
    char *method, *pattern;
    uint64_t max_body;
    bool resumes;
};

struct call {
    call *next, **link;
    standin *s;
    path *path;
    broker_req *req;
    uint64_t number; /* 0: the process has forgotten it */
    bool has_body, received, saves, paused, full, over;
    size_t sent; /* of its body, and not handled */
    answer saved;
    pieces late; /* of its body, which came when it was saved already */
    stream *stream;
    loop_call gone;
};

/* ---- life of a call ---- */

static void on_call_gone(loop_call *posted)
{
    call *c = CONTAINER_OF(posted, call, gone);

    if (c->number != 0)
        slots_take(&c->s->call_slots, c->number);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    stream_free(c->stream);
    while (c->late.first != NULL)
        pieces_drop(&c->late);
    sb_done(&c->saved.bytes);
    free(c);
}

static call *call_new(path *p, broker_req *req)
{
    call *c = must_alloc(sizeof *c);
    standin *s = p->s;

    c->s = s;
    c->path = p;
    c->req = req;
    c->gone.fn = on_call_gone;
    c->next = s->calls;
    c->link = &s->calls;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->calls = c;
    c->number = slots_add(&s->call_slots, c);
    return c;
}

/* Nothing more of it goes to the process or comes from there. The server may still name it
 * until it has seen how it ended, so it goes behind that. */
static void call_end(call *c)
{
    if (c->number != 0)
        slots_take(&c->s->call_slots, c->number);
    c->number = 0;
    c->over = true;
    loop_post(c->s->loop, &c->gone);
}

static void answer_text(standin *s, broker_req *req, unsigned status, const char *text)
{
    static const broker_header retry = {"Retry-After", {"1", 1}};
    broker_response r = {.size = sizeof r,
                         .status = status,
                         .type = "application/json",
                         .headers = &retry,
                         .n_headers = status == 503,
                         .body = {(const uint8_t *)text, strlen(text)}};

    s->http->reply(req, &r);
}

static void call_fail(call *c)
{
    answer_text(c->s, c->req, 503, c->s->down ? down : away);
    call_end(c);
}

/* ---- its body ---- */

static void send_body(call *c, broker_bytes bytes, bool last)
{
    uint8_t number[9];

    put_u64be(number, c->number);
    number[8] = last;
    c->sent += bytes.len;
    standin_send(c->s, WORD_BODY, (broker_bytes){number, sizeof number}, bytes);
}

/* A word about it alone. */
static void send_number(call *c, uint8_t word)
{
    uint8_t number[8];

    put_u64be(number, c->number);
    standin_send(c->s, word, (broker_bytes){number, sizeof number}, no_bytes);
}

static bool may_read(const call *c)
{
    return c->received && !c->paused && !c->full;
}

static void call_resume(call *c);

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes bytes, int32_t last)
{
    call *c = self;

    if (c->over)
        return;
    if (c->saved.state == HERE || !c->received) {
        /* It was saved for another build, and the change was given up. */
        pieces_put(&c->late, buf, bytes, last != 0);
        c->s->http->pause(req);
        if (c->saved.state == HERE)
            call_resume(c);
        return;
    }
    send_body(c, bytes, last != 0);
    c->full = c->sent > WINDOW_STREAM;
    if (!may_read(c) && last == 0)
        c->s->http->pause(req);
}

static void on_abort(void *self, broker_req *req)
{
    call *c = self;

    (void)req;
    if (c->over)
        return;
    if (c->saved.state == HERE)
        call_fail(c); /* the process has forgotten it */
    else
        send_number(c, WORD_ABORT);
}

static broker_rc on_save(void *self, broker_req *req, broker_writer *out)
{
    call *c = self;

    (void)req;
    if (c->over || !c->received)
        return BROKER_AGAIN; /* it has not heard of it yet, or its answer is on its way */
    if (!c->saves || c->stream != NULL)
        return BROKER_ENOSYS;
    if (c->saved.state == UNASKED) {
        c->saved.state = ASKED;
        send_number(c, WORD_SAVE);
    }
    if (c->saved.state == ASKED)
        return BROKER_AGAIN;
    out->write(out, c->saved.bytes.data, c->saved.bytes.len);
    call_end(c);
    return BROKER_OK;
}

/* ---- requests ---- */

static void put_pairs(sb *map, const char *key, broker_req *req)
{
    const head *h = http_head(req);
    bool params = key[0] == 'p';
    size_t n = params ? http_params(req) : h->n_fields;

    pack_list(map, key, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        broker_str name, value;

        if (params) {
            value = http_param_at(req, i, &name);
        } else {
            name = h->fields[i].name;
            value = h->fields[i].value;
        }
        pack_map(map, 2);
        pack_bytes(map, "name", name.ptr, name.len);
        pack_bytes(map, "value", value.ptr, value.len);
    }
}

static void put_str(sb *map, const char *key, broker_str s)
{
    pack_bytes(map, key, s.ptr, s.len);
}

/* Tell the process of it; resumed: what a build before has saved of it, else NULL. */
static void call_begin(call *c, const broker_bytes *resumed)
{
    standin *s = c->s;
    const broker_http *http = s->http;
    broker_str user = http->user(c->req);
    sb map = SB_INIT;

    if (resumed != NULL && (!c->path->resumes || resumed->len > FRAME_MAX / 2)) {
        call_fail(c);
        return;
    }
    if (c->number == 0)
        c->number = slots_add(&s->call_slots, c);
    pack_map(&map, 7u + (user.ptr != NULL) + (resumed != NULL));
    pack_uint(&map, "req", c->number);
    pack_uint(&map, "route", c->path->id);
    put_str(&map, "method", http->method(c->req));
    put_str(&map, "target", http->target(c->req));
    put_str(&map, "peer", http->peer(c->req));
    if (user.ptr != NULL)
        put_str(&map, "user", user);
    if (resumed != NULL)
        pack_bytes(&map, "resumed", resumed->ptr, resumed->len);
    put_pairs(&map, "params", c->req);
    put_pairs(&map, "headers", c->req);
    c->saved.state = UNASKED;
    c->received = c->paused = c->full = false;
    c->sent = 0;
    standin_send(s, WORD_REQUEST, sb_bytes(&map), no_bytes);
    sb_done(&map);
}

/* A change was given up for which it was saved. */
static void call_resume(call *c)
{
    broker_bytes saved = sb_bytes(&c->saved.bytes);

    if (c->s->stage == RUNNING && c->path->id != 0)
        call_begin(c, &saved);
    else
        call_fail(c);
}

/* Whether there is a process that serves the path; else the request is answered. */
static bool is_served(path *p, broker_req *req)
{
    standin *s = p->s;

    if (s->stage == QUIET && s->wanted)
        keeper_revive(s);
    if (s->stage != RUNNING)
        answer_text(s, req, 503, s->down ? down : away);
    else if (p->id == 0)
        answer_text(s, req, 404, none);
    else
        return true;
    return false;
}

static void begin(path *p, broker_req *req, const broker_bytes *resumed)
{
    const head *h = http_head(req);
    broker_intake in = {sizeof in, 0, NULL, on_body, on_abort, on_save};
    call *c;

    if (!is_served(p, req))
        return;
    c = call_new(p, req);
    c->has_body = resumed != NULL || h->chunked || (h->has_length && h->length != 0);
    if (c->has_body) { /* or the server would read it for nobody */
        in.self = c;
        p->s->http->receive(req, &in);
        p->s->http->pause(req);
    }
    call_begin(c, resumed);
}

static void on_req(void *self, broker_req *req)
{
    begin(self, req, NULL);
}

static void resume_req(void *self, broker_req *req, broker_bytes saved)
{
    begin(self, req, &saved);
}

/* ---- routes ---- */

static path *waiting_path(standin *s, const char *method, const char *pattern)
{
    path *p = s->paths;

    while (p != NULL &&
           (p->id != 0 || strcmp(p->method, method) != 0 || strcmp(p->pattern, pattern) != 0))
        p = p->next;
    return p;
}

static void path_free(path *p)
{
    free(p->method);
    free(p->pattern);
    free(p);
}

/* Why it is not to be had: of the HTTP server's own words in *text, when it has some. */
static broker_rc add_route(standin *s, path *want, path **out, sb *text)
{
    path *p = waiting_path(s, want->method, want->pattern);
    broker_route r = {.size = sizeof r,
                      .flags = want->flags,
                      .method = want->method,
                      .path = want->pattern,
                      .max_body = want->max_body,
                      .self = want,
                      .on_req = on_req,
                      .resume_req = want->resumes ? resume_req : NULL};
    broker_rc rc;

    *out = p;
    if (p != NULL) {
        if (p->flags == want->flags && p->max_body == want->max_body && p->resumes == want->resumes)
            return BROKER_OK;
        sb_puts(text, "the route was there with other limits before its process was started again");
        return BROKER_EBUSY;
    }
    rc = s->http->route(s->ctx, &r);
    if (rc != BROKER_OK) {
        sb_puts(text, "the route is taken, or is no route");
        return rc;
    }
    want->next = s->paths;
    s->paths = want;
    *out = want;
    return BROKER_OK;
}

fault requests_route(standin *s, broker_bytes body, words_result *r, sb *text)
{
    const unpacked_map *m;
    path *want, *p = NULL;
    uint64_t id;
    unpacked *u;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "a route is no map";
    m = unpacked_root(u);
    id = unpack_uint(m, "id", 0);
    want = must_alloc(sizeof *want);
    want->s = s;
    want->flags = (uint32_t)unpack_uint(m, "flags", 0);
    want->max_body = unpack_uint(m, "maxBody", 0);
    want->resumes = unpack_bool(m, "resumes", false);
    want->method = unpack_text(m, "method");
    want->pattern = unpack_text(m, "path");
    unpacked_free(u);
    if (id == 0 || id >= IDS_MAX || ids_get(&s->path_ids, (uint32_t)id) != NULL ||
        want->method == NULL || want->pattern == NULL ||
        (want->flags & ~(BROKER_ROUTE_PUBLIC | BROKER_ROUTE_STREAM)) != 0) {
        path_free(want);
        return "a route has no id of its own, or no method or path, or flags that there are not";
    }
    r->rc = BROKER_ESTATE;
    if (s->stage == STARTING || s->stage == RUNNING)
        r->rc = add_route(s, want, &p, text);
    else
        sb_puts(text, "it is not started");
    if (r->rc == BROKER_OK) {
        p->id = (uint32_t)id;
        ids_set(&s->path_ids, p->id, p);
    }
    if (p != want)
        path_free(want);
    r->bytes = sb_bytes(text);
    return NULL;
}

/* ---- answers ---- */

static void on_stream_closed(void *arg)
{
    call *c = arg;

    loop_post(c->s->loop, &c->gone);
}

static fault answered(standin *s, uint8_t word, broker_bytes body)
{
    response a;
    uint64_t number = 0;
    fault wrong = response_read(body, &a, &number);
    call *c = slots_get(&s->call_slots, number);

    if (wrong == NULL && c == NULL && !slots_gave(&s->call_slots, number))
        wrong = "there was never such a request";
    if (wrong == NULL && c != NULL && (c->stream != NULL || c->saved.state == HERE))
        wrong = "a request is answered that is over";
    if (wrong == NULL && c != NULL) {
        if (word == WORD_REPLY) {
            s->http->reply(c->req, &a.r);
            call_end(c);
        } else {
            c->stream = stream_begin(s, c->req, c->number, &a.r, on_stream_closed, c);
        }
    }
    response_done(&a);
    return wrong;
}

static fault end(call *c, view *v)
{
    uint32_t rc;

    if (!view_u32be(v, &rc) || view_left(v) != 0 ||
        ((broker_rc)rc >= 0 && (broker_rc)rc != BROKER_END))
        return "an answer does not end as it must";
    if (c->stream == NULL || !stream_end(c->stream, (broker_rc)rc))
        return "an answer ends that is not streamed";
    return NULL;
}

/* ---- words about the body ---- */

static void read_on(call *c)
{
    if (c->has_body && may_read(c))
        c->s->http->resume(c->req);
}

static fault receive(call *c, view *v)
{
    uint8_t saves;

    if (!view_u8(v, &saves) || view_left(v) != 0 || c->received)
        return "a body is received twice, or it is not as long as it must be";
    c->received = true;
    c->saves = saves != 0;
    if (!c->has_body) {
        send_body(c, no_bytes, true);
    }
    while (c->late.first != NULL) {
        send_body(c, c->late.first->bytes, c->late.first->is_last);
        pieces_drop(&c->late);
    }
    c->full = c->sent > WINDOW_STREAM;
    read_on(c);
    return NULL;
}

static fault credit(call *c, view *v)
{
    uint32_t n;

    if (!view_u32be(v, &n) || view_left(v) != 0 || n > c->sent)
        return "more of a body was handled than there was";
    c->sent -= n;
    if (c->full && c->sent <= WINDOW_STREAM / 2) {
        c->full = false;
        read_on(c);
    }
    return NULL;
}

static fault set_paused(call *c, bool on)
{
    c->paused = on;
    if (!c->has_body)
        return NULL;
    if (on)
        c->s->http->pause(c->req);
    else
        read_on(c);
    return NULL;
}

static fault saved(call *c, view *v)
{
    uint32_t rc;

    if (!view_u32be(v, &rc) || c->saved.state != ASKED || (rc == BROKER_OK && c->stream != NULL))
        return "a request is saved that was not to be";
    c->saved.state = UNASKED; /* asked again, unless it is there or it cannot be */
    if ((broker_rc)rc == BROKER_OK) {
        c->saved.state = HERE;
        sb_clear(&c->saved.bytes);
        sb_append(&c->saved.bytes, v->p, view_left(v));
        slots_take(&c->s->call_slots, c->number);
        c->number = 0;
    } else if ((broker_rc)rc != BROKER_AGAIN) {
        c->saves = false;
    }
    return NULL;
}

fault requests_word(standin *s, uint8_t word, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint64_t number;
    call *c;

    if (word == WORD_REPLY || word == WORD_STREAM)
        return answered(s, word, body);
    if (word < WORD_RECEIVE || word > WORD_END)
        return "there is no such word";
    if (!view_u64be(&v, &number))
        return "it has no request";
    c = slots_get(&s->call_slots, number);
    if (c == NULL) /* it crossed the end of the request */
        return slots_gave(&s->call_slots, number) ? NULL : "there was never such a request";
    switch (word) {
    case WORD_RECEIVE:
        return receive(c, &v);
    case WORD_PAUSE:
    case WORD_RESUME:
        return set_paused(c, word == WORD_PAUSE);
    case WORD_CREDIT:
        return credit(c, &v);
    case WORD_SAVED:
        return saved(c, &v);
    case WORD_CHUNK:
        if (c->stream == NULL)
            return "a part comes of an answer that is not streamed";
        return stream_chunk(c->stream, buf, (broker_bytes){v.p, view_left(&v)});
    default:
        return end(c, &v);
    }
}

/* ---- ends ---- */

void requests_hush(standin *s)
{
    for (call *c = s->calls; c != NULL; c = c->next)
        if (c->stream != NULL)
            stream_hush(c->stream);
}

void requests_lost(standin *s)
{
    for (call *c = s->calls, *next; c != NULL; c = next) {
        next = c->next;
        if (c->over)
            continue;
        if (c->stream == NULL && c->saved.state == HERE)
            continue; /* safe, for the next build or process */
        if (c->stream == NULL) {
            call_fail(c);
            continue;
        }
        if (c->number != 0)
            slots_take(&s->call_slots, c->number);
        c->over = true;
        stream_lose(c->stream);
    }
    for (path *p = s->paths; p != NULL; p = p->next)
        p->id = 0;
    ids_done(&s->path_ids);
}

/* The server may still keep a route for the next build: what it names stays, unused. */
void requests_forget(standin *s)
{
    while (s->paths != NULL) {
        path *p = s->paths;

        s->paths = p->next;
        p->id = 0;
        p->next = s->old_paths;
        s->old_paths = p;
    }
    ids_done(&s->path_ids);
}

void requests_done(standin *s)
{
    must(s->calls == NULL);
    requests_forget(s);
    while (s->old_paths != NULL) {
        path *p = s->old_paths;

        s->old_paths = p->next;
        path_free(p);
    }
    slots_done(&s->call_slots);
}
