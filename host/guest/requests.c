/* requests -- HTTP requests that the node hands on, and their bodies.
 *
 * Parts of a body wait here while the plugin has
 * it paused; the node sends no more than a window before the plugin has had them. */
#include "guest/request.h"

#include <strings.h>

typedef struct broker_route route;

/* ---- which there are ---- */

static broker_req **slot_of(guest *g, uint64_t id)
{
    broker_req **at = &g->requests[id % REQUEST_SLOTS];

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

broker_req *guest_req_of(guest *g, uint64_t id)
{
    return *slot_of(g, id);
}

static void pieces_drop(broker_req *r)
{
    while (r->first != NULL) {
        piece *p = r->first;

        r->first = p->next;
        buf_release(p->buf);
        free(p);
    }
    r->last = &r->first;
}

void guest_req_leave(broker_req *r)
{
    broker_req **at = slot_of(r->g, r->id);

    if (*at != r)
        return;
    *at = r->next;
    r->g->n_requests--;
    atomic_fetch_sub(&r->g->build->ledger.requests, 1);
    pieces_drop(r);
}

void guest_req_free(broker_req *r)
{
    guest_req_leave(r);
    query_done(&r->query);
    unpacked_free(r->said);
    free(r->text);
    free(r->part.bytes);
    free(r);
}

/* ---- the body ---- */

bool guest_req_reads(const broker_req *r)
{
    return r->has_intake && !r->told && !r->over && !r->closing &&
           atomic_load(&r->ended) != REPLIED;
}

void guest_req_abort(broker_req *r)
{
    bool reads = guest_req_reads(r);

    r->has_intake = false;
    pieces_drop(r);
    if (reads)
        CROSS(&r->g->build->ledger, "on_abort", r->intake.on_abort(r->intake.self, r));
}

static void credit(const broker_req *r, size_t len)
{
    uint8_t body[12];

    put_u64be(body, r->id);
    put_u32be(body + 8, (uint32_t)len);
    if (len != 0)
        channel_send(r->g->frames, WORD_CREDIT, (broker_bytes){body, sizeof body},
                     (broker_bytes){NULL, 0});
}

/* Give what waits to the plugin. */
static void body_run(broker_req *r)
{
    while (r->first != NULL && !r->paused && guest_req_reads(r)) {
        piece *p = r->first;

        r->first = p->next;
        if (r->first == NULL)
            r->last = &r->first;
        r->told = p->last;
        CROSS(&r->g->build->ledger, "on_body",
              r->intake.on_body(r->intake.self, r, p->buf, p->bytes, p->last ? 1 : 0));
        credit(r, p->bytes.len);
        buf_release(p->buf);
        free(p);
    }
    if (!guest_req_reads(r))
        pieces_drop(r);
}

void guest_body(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint64_t id;
    uint8_t last;
    broker_req *r;
    piece *p;

    if (!view_u64be(&v, &id) || !view_u8(&v, &last))
        guest_broken("a part of no body");
    r = guest_req_of(g, id);
    if (r == NULL || !guest_req_reads(r))
        return;
    p = must_alloc(sizeof *p);
    buf_retain(buf);
    *p = (piece){NULL, buf, {v.p, view_left(&v)}, last != 0};
    *r->last = p;
    r->last = &p->next;
    body_run(r);
}

/* The request that a frame of its number alone is about, or NULL. */
static broker_req *named(guest *g, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint64_t id;

    if (!view_u64be(&v, &id))
        guest_broken("a word about no request");
    return guest_req_of(g, id);
}

void guest_abort(guest *g, broker_buf *buf, broker_bytes body)
{
    broker_req *r = named(g, body);

    (void)buf;
    if (r == NULL)
        return;
    r->left = true;
    guest_req_abort(r);
}

/* ---- across a swap ---- */

static void free_on_loop(loop_call *call)
{
    guest_req_free(CONTAINER_OF(call, broker_req, call_ended));
}

static broker_rc save(broker_req *r, sb *state)
{
    blob to = blob_of(state);
    broker_rc rc;

    if (atomic_load(&r->ended) == STREAMED || !guest_req_reads(r) || r->intake.save == NULL)
        return BROKER_ENOSYS;
    if (r->first != NULL) /* the node has given these away */
        return BROKER_AGAIN;
    CROSS(&r->g->build->ledger, "save", rc = r->intake.save(r->intake.self, r, &to.w));
    return state->len < FRAME_MAX / 2 ? rc : BROKER_ENOMEM;
}

void guest_save(guest *g, broker_buf *buf, broker_bytes body)
{
    broker_req *r = named(g, body);
    sb state = SB_INIT, answer = SB_INIT;
    words_result result = {BROKER_OK, {NULL, 0}};

    (void)buf;
    if (r == NULL || atomic_load(&r->ended) == REPLIED)
        return;
    result.rc = save(r, &state);
    if (result.rc == BROKER_OK)
        result.bytes = bytes_of(&state);
    words_put_u64(&answer, r->id);
    words_put_result(&answer, &result);
    channel_send(g->frames, WORD_SAVED, bytes_of(&answer), (broker_bytes){NULL, 0});
    if (result.rc == BROKER_OK) {
        guest_req_leave(r);
        r->has_intake = false;
        r->call_ended.fn = free_on_loop;
        loop_post(g->loop, &r->call_ended); /* behind a resume() that is under way */
    }
    sb_done(&state);
    sb_done(&answer);
}

/* ---- beginning ---- */

/* Answer for the plugin. */
static void refuse(broker_req *r)
{
    static const char why[] = "{\"error\":\"the plugin that served this path was changed; send it "
                              "again\"}";
    broker_response response = {.size = sizeof response,
                                .status = 503,
                                .type = "application/json",
                                .body = {(const uint8_t *)why, sizeof why - 1}};

    guest_reply(r, &response);
}

static void resume_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_resume);
    uint8_t id[8];

    atomic_store(&r->resume_posted, false);
    r->paused = false;
    if (r->left)
        guest_req_abort(r);
    if (!guest_req_reads(r))
        return;
    put_u64be(id, r->id);
    channel_send(r->g->frames, WORD_RESUME, (broker_bytes){id, sizeof id}, (broker_bytes){NULL, 0});
    body_run(r);
}

static broker_req *req_new(guest *g, broker_bytes body)
{
    broker_req *r = must_alloc(sizeof *r), **at;

    r->g = g;
    r->text = must_strndup((const char *)body.ptr, body.len);
    if (unpack(r->text, body.len, &r->said) != 1)
        guest_broken("a request that is no map");
    r->map = unpacked_root(r->said);
    r->id = unpack_uint(r->map, "req", 0);
    r->last = &r->first;
    r->call_resume.fn = resume_on_loop;
    guest_answer_init(r);
    at = slot_of(g, r->id);
    if (*at != NULL)
        guest_broken("a request that there is already");
    *at = r;
    g->n_requests++;
    atomic_fetch_add(&g->build->ledger.requests, 1);
    return r;
}

void guest_request(guest *g, broker_buf *buf, broker_bytes body)
{
    broker_bytes saved;
    const route *to;
    broker_req *r = req_new(g, body);

    (void)buf; /* it may be open for long, and its block is large */
    to = numbers_get(&g->routes, (uint32_t)unpack_uint(r->map, "route", 0));
    saved.ptr = (const uint8_t *)unpack_bytes(r->map, "resumed", &saved.len);
    if (to == NULL || (saved.ptr != NULL && to->resume_req == NULL))
        refuse(r);
    else if (saved.ptr == NULL)
        CROSS(&g->build->ledger, "on_req", to->on_req(to->self, r));
    else
        CROSS(&g->build->ledger, "resume_req", to->resume_req(to->self, r, saved));
}

/* ---- what it says ---- */

static broker_str text_of(const unpacked_map *m, const char *key)
{
    broker_str text = {NULL, 0};

    text.ptr = unpack_bytes(m, key, &text.len);
    return text;
}

static broker_str method(broker_req *r)
{
    return text_of(r->map, "method");
}

static broker_str target(broker_req *r)
{
    return text_of(r->map, "target");
}

static broker_str user(broker_req *r)
{
    return text_of(r->map, "user");
}

static broker_str peer(broker_req *r)
{
    return text_of(r->map, "peer");
}

/* The value of the first pair in a list that has the name. */
static broker_str value_of(const broker_req *r, const char *list, const char *name, bool any_case)
{
    uint32_t n = unpack_list(r->map, list);
    size_t len = strlen(name);

    for (uint32_t i = 0; i < n; i++) {
        const unpacked_map *pair = unpack_element(r->map, list, i);
        broker_str is = pair != NULL ? text_of(pair, "name") : (broker_str){NULL, 0};

        if (is.ptr != NULL && is.len == len &&
            (any_case ? strncasecmp(is.ptr, name, len) : memcmp(is.ptr, name, len)) == 0)
            return text_of(pair, "value");
    }
    return (broker_str){NULL, 0};
}

static broker_str param(broker_req *r, const char *name)
{
    return value_of(r, "params", name, false);
}

static broker_str header(broker_req *r, const char *name)
{
    return value_of(r, "headers", name, true);
}

static broker_str query_value(broker_req *r, const char *name)
{
    broker_str behind, whole = target(r);

    if (!r->has_query && whole.ptr != NULL) {
        target_path(whole, &behind);
        query_parse(&r->query, behind);
    }
    r->has_query = true;
    return query_get(&r->query, name);
}

/* ---- the rest of the table ---- */

static void resume(broker_req *r)
{
    if (!atomic_exchange(&r->resume_posted, true))
        loop_post(r->g->loop, &r->call_resume);
}

static broker_rc receive(broker_req *r, const broker_intake *intake)
{
    uint8_t body[9];

    if (r->has_intake || atomic_load(&r->ended) != NOT_ENDED)
        return BROKER_EINVAL;
    r->intake = (broker_intake){0};
    memcpy(&r->intake, intake, intake->size < sizeof r->intake ? intake->size : sizeof r->intake);
    r->has_intake = true;
    put_u64be(body, r->id);
    body[8] = r->intake.save != NULL;
    channel_send(r->g->frames, WORD_RECEIVE, (broker_bytes){body, sizeof body},
                 (broker_bytes){NULL, 0});
    if (r->left)
        resume(r); /* on_abort() comes from there */
    return BROKER_OK;
}

static void pause_body(broker_req *r)
{
    uint8_t id[8];

    if (r->paused || !guest_req_reads(r))
        return;
    r->paused = true;
    put_u64be(id, r->id);
    channel_send(r->g->frames, WORD_PAUSE, (broker_bytes){id, sizeof id}, (broker_bytes){NULL, 0});
}

static void route_free(route *made)
{
    free((char *)(uintptr_t)made->method);
    free((char *)(uintptr_t)made->path);
    free(made);
}

static broker_rc route_ask(guest *g, uint32_t number, const route *made)
{
    sb body = SB_INIT;
    broker_rc rc;

    pack_map(&body, 6);
    pack_uint(&body, "id", number);
    pack_uint(&body, "flags", made->flags & (BROKER_ROUTE_PUBLIC | BROKER_ROUTE_STREAM));
    pack_uint(&body, "maxBody", made->max_body);
    pack_text(&body, "method", made->method);
    pack_text(&body, "path", made->path);
    pack_bool(&body, "resumes", made->resume_req != NULL);
    rc = guest_ask(g, ASK_ROUTE, bytes_of(&body), NULL);
    sb_done(&body);
    return rc;
}

static broker_rc add_route(broker_ctx *ctx, const broker_route *want)
{
    guest *g = guest_of(ctx);
    uint32_t number;
    broker_rc rc;
    route *made;

    if (want->method == NULL || want->path == NULL || want->on_req == NULL)
        return ctx->host->fail(ctx, BROKER_EBUSY, "a route needs a method, a path and a handler");
    made = must_alloc(sizeof *made);
    memcpy(made, want, want->size < sizeof *made ? want->size : sizeof *made);
    made->method = must_strdup(want->method);
    made->path = must_strdup(want->path);
    number = numbers_take(&g->routes, made);
    rc = number != 0 ? route_ask(g, number, made) : BROKER_EBUSY;
    if (rc == BROKER_OK)
        return rc;
    if (number != 0)
        numbers_drop(&g->routes, number);
    route_free(made);
    return rc;
}

const broker_http guest_http = {
    sizeof guest_http,
    0,
    add_route,
    method,
    target,
    param,
    query_value,
    header,
    user,
    peer,
    receive,
    pause_body,
    resume,
    guest_reply,
    guest_stream,
    guest_wake,
};

/* ---- ends ---- */

void guest_routes_end(guest *g)
{
    for (uint32_t i = 1; i < g->routes.cap; i++) {
        route *r = numbers_get(&g->routes, i);

        if (r == NULL)
            continue;
        numbers_drop(&g->routes, i);
        route_free(r);
    }
}

void guest_requests_end(guest *g)
{
    for (size_t i = 0; i < REQUEST_SLOTS; i++)
        for (broker_req *r = g->requests[i], *next; r != NULL; r = next) {
            int before = NOT_ENDED;

            next = r->next;
            r->closed = true;
            if (!atomic_compare_exchange_strong(&r->ended, &before, REPLIED)) {
                guest_answer_step(r);
                continue;
            }
            r->call_ended.fn = free_on_loop; /* nobody else ends it */
            loop_post(g->loop, &r->call_ended);
        }
}
