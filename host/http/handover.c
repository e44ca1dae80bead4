/* handover -- requests across a swap of the build that serves them.
 *
 * A request whose body is being read is saved by its plugin (intake->save) and waits with its
 * connection unread; a streamed answer is saved between two pulls (body->save), and what was
 * pulled already goes on to the socket meanwhile; a new request waits before its handler sees
 * it. Where both go on at once, intake->save says all, and the next build's stream() goes on
 * with the answer. What belongs to no build has owner NULL. */
#include "http/parts.h"

#include "run/log.h"

static bool is_of(const broker_req *r, const char *name)
{
    return r->owner != NULL && strcmp(r->owner->name, name) == 0;
}

static bool reads_body(const broker_req *r)
{
    return req_wants_body(r) && !r->body_told;
}

static bool streams(const broker_req *r)
{
    return r->answered && r->streaming;
}

static bool can_save_answer(const broker_req *r)
{
    return streams(r) && !reads_body(r) && r->stream.save != NULL;
}

static broker_rc saved_write(broker_writer *w, const void *bytes, size_t len)
{
    sb_append(&CONTAINER_OF(w, saver, w)->bytes, bytes, len);
    return BROKER_OK;
}

static uint8_t *saved_reserve(broker_writer *w, size_t len)
{
    return (uint8_t *)sb_room(&CONTAINER_OF(w, saver, w)->bytes, len);
}

static void saved_commit(broker_writer *w, size_t used)
{
    CONTAINER_OF(w, saver, w)->bytes.len += used;
}

static void saver_begin(broker_req *r)
{
    r->saved.w = (broker_writer){sizeof r->saved.w, 0, saved_write, saved_reserve, saved_commit};
    sb_clear(&r->saved.bytes);
}

/* ---- saving ---- */

static void req_go_on(broker_req *r);

/* No pull() of it runs. */
static bool is_still(broker_req *r)
{
    if (r->pulling && pool_cancel(r->server->pool, &r->job))
        r->pulling = false;
    return !r->pulling && !r->closing && !r->saving;
}

/* [worker] */
static void answer_close_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    CROSS(r->owner, "close", r->stream.close(r->stream.self));
}

static void answer_close_done(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    r->saving = false;
    req_disown(r);
    r->waits = WAITS_INTAKE;
    answer_go_on(r);
    if (r->conn != NULL)
        req_go_on(r); /* when the swap was given up meanwhile */
}

static void intake_save(broker_req *r)
{
    broker_rc rc;

    r->held = true;
    if (streams(r) && !is_still(r))
        return;
    saver_begin(r);
    CROSS(r->owner, "save", rc = r->intake.save(r->intake.self, r, &r->saved.w));
    if (rc == BROKER_AGAIN)
        return;
    if (rc != BROKER_OK) { /* the swap waits for its end */
        r->held = false;
        r->intake.save = NULL;
        if (streams(r))
            answer_go_on(r);
        if (r->conn != NULL)
            conn_run(r->conn);
        return;
    }
    r->has_intake = false;
    if (streams(r)) {
        r->saving = true;
        r->job.run = answer_close_run;
        r->job.done = answer_close_done;
        pool_submit_first(r->server->pool, &r->job);
        return;
    }
    r->waits = WAITS_INTAKE;
    req_disown(r);
}

/* [worker] */
static void answer_save_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    if (!r->over)
        CROSS(r->owner, "save", r->rc = r->stream.save(r->stream.self, &r->saved.w));
    CROSS(r->owner, "close", r->stream.close(r->stream.self));
}

static void answer_save_done(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    r->saving = false;
    req_disown(r);
    if (!r->over && r->rc != BROKER_OK) {
        log_warn("http", "an answer could not be saved for the next build and is cut");
        r->cut = true;
    } else if (!r->over) {
        r->waits = WAITS_ANSWER;
    }
    answer_go_on(r);
    if (r->conn != NULL && r->waits == WAITS_ANSWER)
        req_go_on(r); /* when the swap was given up meanwhile */
}

static void answer_save(broker_req *r)
{
    r->held = true;
    if (!is_still(r))
        return;
    saver_begin(r);
    r->saving = true;
    r->job.run = answer_save_run;
    r->job.done = answer_save_done;
    pool_submit_first(r->server->pool, &r->job);
}

static void routes_set(http_server *s, const ledger *owner, route_state state)
{
    for (route *r = s->routes; r != NULL; r = r->next)
        if (r->owner == owner)
            r->state = state;
}

bool http_hold(http_server *s, const ledger *owner)
{
    unsigned answers = 0;

    routes_set(s, owner, ROUTE_HELD);
    for (conn *c = s->conns; c != NULL; c = c->next) {
        broker_req *r = c->req;

        if (r == NULL || r->owner != owner)
            continue;
        if (reads_body(r) && r->intake.save != NULL)
            intake_save(r);
        else if (can_save_answer(r))
            answers++;
    }
    return atomic_load(&owner->requests) == answers;
}

bool http_park(http_server *s, const ledger *owner)
{
    routes_set(s, owner, ROUTE_PARKED);
    for (conn *c = s->conns; c != NULL; c = c->next) {
        broker_req *r = c->req;

        if (r != NULL && r->owner == owner && can_save_answer(r))
            answer_save(r);
    }
    return atomic_load(&owner->requests) == 0;
}

bool http_end(http_server *s, const ledger *owner)
{
    routes_set(s, owner, ROUTE_CLOSED);
    return atomic_load(&owner->requests) == 0;
}

void http_vacate(http_server *s, const ledger *owner, ledger *keeper)
{
    for (route *r = s->routes; r != NULL; r = r->next)
        if (r->owner == owner) {
            r->state = ROUTE_VACANT;
            r->owner = keeper;
        }
}

/* ---- going on ---- */

static void answer_resume(broker_req *r, const route *to)
{
    broker_body body = {0};
    broker_bytes saved = {(const uint8_t *)r->saved.bytes.data, r->saved.bytes.len};
    broker_rc rc = BROKER_ENOSYS;

    if (to != NULL && to->r.resume_body != NULL)
        CROSS(to->owner, "resume_body", rc = to->r.resume_body(to->r.self, r, saved, &body));
    if (rc == BROKER_OK) {
        req_own(r, to);
        r->stream = body;
        r->held = r->waiting = false;
    } else {
        log_warn("http", "an answer could not be resumed by the next build and is cut");
        r->cut = true;
    }
    answer_go_on(r);
}

static void intake_resume(broker_req *r, const route *to)
{
    broker_bytes saved = {(const uint8_t *)r->saved.bytes.data, r->saved.bytes.len};

    r->held = r->paused = false;
    if (r->answered) { /* goes on by stream() once more */
        r->begun = true;
        r->answered = r->streaming = r->waiting = false;
        atomic_store(&r->woken, false);
    }
    if (to == NULL || to->r.resume_req == NULL) {
        req_refuse(r, 503, "the plugin that served this path was changed; send it again");
        return;
    }
    req_own(r, to);
    CROSS(r->owner, "resume_req", to->r.resume_req(to->r.self, r, saved));
}

static void req_go_on(broker_req *r)
{
    conn *c = r->conn;
    waits was = r->waits;
    route_match match;
    const route *to;

    if (was == WAITS_START) {
        r->waits = WAITS_NOT;
        req_dispatch(r);
    } else {
        to = req_route(r, &match);
        if (to != NULL && to->state != ROUTE_OPEN) { /* another plugin's */
            route_match_done(&match);
            return;
        }
        r->waits = WAITS_NOT;
        route_match_done(&r->match);
        r->match = match;
        if (was == WAITS_ANSWER) {
            answer_resume(r, to);
            return;
        }
        intake_resume(r, to);
    }
    conn_touch(c, c->server->body_timeout_ms);
    conn_run(c);
}

void http_go_on(http_server *s, const char *name)
{
    route_open(&s->routes, name);
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        broker_req *r = c->req;

        next = c->next;
        if (r == NULL || c->closing)
            continue;
        if (r->waits != WAITS_NOT) {
            req_go_on(r);
        } else if (r->held && is_of(r, name)) { /* the swap was given up */
            r->held = false;
            if (streams(r))
                answer_go_on(r);
            if (!c->closing)
                conn_run(c);
        }
    }
}
