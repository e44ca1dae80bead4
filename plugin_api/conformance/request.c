/* request -- see request.h: what a plugin may ask of a request, and how it is ended. */
#include "request.h"

#define BODY_MAX   (64u << 20) /* of an answer */
#define WRITER_LEN 4096u       /* what a pull() may write at a time */

typedef enum request_end { OPEN, REPLIED, STREAMED } request_end;

struct broker_req {
    object o;
    route *route;
    request_plan plan;
    sb params; /* values, each behind its name and a NUL */
    sb target, content;
    size_t sent; /* bytes of the content that have come. [loop] */
    bool received, posted, over;
    broker_intake intake;
    bool paused;                                /* under the kit's lock */
    request_end end;                            /* under the kit's lock */
    broker_body body;                           /* of an answer that streams */
    bool waiting, woken, pulling, closed, left; /* under the kit's lock */
    size_t n_parts, n_bytes;
};

static void request_free(object *o)
{
    broker_req *q = CONTAINER_OF(o, broker_req, o);

    sb_done(&q->params);
    sb_done(&q->target);
    sb_done(&q->content);
    free(q);
}

static void pull_post(broker_req *q);

/* ---- what it says ---- */

static bool open_for(broker_req *q, call which)
{
    bool open;

    if (called_on(q, REQUEST, which) == NULL)
        return false;
    pthread_mutex_lock(&q->o.kit->lock);
    open = q->end == OPEN || (q->end == STREAMED && !q->over && !q->closed);
    pthread_mutex_unlock(&q->o.kit->lock);
    if (!open)
        finding("%s() was called on a request that had been ended", call_rules[which].name);
    return open;
}

static broker_str text_of(const char *s)
{
    return (broker_str){s, strlen(s)};
}

static broker_str method(broker_req *q)
{
    if (!open_for(q, CALL_http_method))
        return (broker_str){NULL, 0};
    return text_of(q->plan.method != NULL ? q->plan.method : q->route->method);
}

static broker_str target(broker_req *q)
{
    return open_for(q, CALL_http_target) ? text_of(q->target.data) : (broker_str){NULL, 0};
}

static broker_str param(broker_req *q, const char *name)
{
    if (!open_for(q, CALL_http_param))
        return (broker_str){NULL, 0};
    for (const char *at = q->params.data; at < q->params.data + q->params.len;) {
        const char *value = at + strlen(at) + 1;

        if (strcmp(at, name) == 0)
            return text_of(value);
        at = value + strlen(value) + 1;
    }
    finding("http.param() was asked for '%s', which the route '%s' does not have", name,
            q->route->path);
    return (broker_str){NULL, 0};
}

/* There is a different one each time. */
static broker_str query(broker_req *q, const char *name)
{
    static const char *const values[] = {"1", "0", "", "-1", "a b", "99999999999999999999", "x\"<"};

    (void)name;
    if (!open_for(q, CALL_http_query) || q->o.kit->counts[CALL_http_query] % 3 == 0)
        return (broker_str){NULL, 0};
    return text_of(values[q->o.kit->counts[CALL_http_query] % COUNT_OF(values)]);
}

static broker_str header(broker_req *q, const char *name)
{
    if (!open_for(q, CALL_http_header))
        return (broker_str){NULL, 0};
    if (strcasecmp(name, "host") == 0)
        return text_of("127.0.0.1");
    return q->plan.content != NULL && strcasecmp(name, "content-type") == 0
               ? text_of("application/json")
               : (broker_str){NULL, 0};
}

static broker_str user(broker_req *q)
{
    return open_for(q, CALL_http_user) ? text_of("kit") : (broker_str){NULL, 0};
}

static broker_str peer(broker_req *q)
{
    return open_for(q, CALL_http_peer) ? text_of("127.0.0.1:50000") : (broker_str){NULL, 0};
}

/* ---- its body ---- */

static void body_go(void *arg);

static void body_post(broker_req *q)
{
    if (!q->posted)
        kit_post(body_go, q);
    q->posted = true;
}

static void body_part(broker_req *q, size_t len)
{
    static const char none[1] = "";
    const char *from = q->content.data != NULL ? q->content.data + q->sent : none;
    /* What comes from a socket has neighbours. */
    broker_buf *buf = buffer_new(q->o.kit, from, len);
    broker_bytes part = {buf->bytes, len};

    q->sent += len;
    q->over = q->sent == q->content.len;
    CROSS("on_body", q->intake.on_body(q->intake.self, q, buf, part, q->over));
    buffer_drop(buf);
}

/* The next part, or the client's farewell. */
static void body_go(void *arg)
{
    broker_req *q = arg;
    size_t left = q->content.len - q->sent, len = q->plan.part != 0 ? q->plan.part : left;
    bool go_on;

    q->posted = false;
    pthread_mutex_lock(&q->o.kit->lock);
    go_on = !q->paused && !q->over && q->end != REPLIED && !q->left;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (!go_on)
        return;
    if (q->plan.leaves && q->sent >= q->content.len / 2) {
        q->left = q->over = true;
        CROSS("on_abort", q->intake.on_abort(q->intake.self, q));
        return;
    }
    body_part(q, len < left ? len : left);
    if (!q->over)
        body_post(q);
}

static broker_rc receive(broker_req *q, const broker_intake *intake)
{
    if (!open_for(q, CALL_http_receive))
        return BROKER_EINVAL;
    if (call_failed(q->o.kit, CALL_http_receive))
        return refuse(q->o.kit, CALL_http_receive);
    if (intake == NULL || !size_is_said(intake->size, sizeof *intake, "broker_intake"))
        return BROKER_EINVAL;
    if (q->received || intake->on_body == NULL || intake->on_abort == NULL) {
        finding("http.receive() was %s",
                q->received ? "called twice for one request" : "given no on_body or no on_abort");
        return BROKER_EINVAL;
    }
    q->received = true;
    q->intake = *intake;
    body_post(q);
    return BROKER_OK;
}

static void req_pause(broker_req *q)
{
    if (!open_for(q, CALL_http_pause))
        return;
    pthread_mutex_lock(&q->o.kit->lock);
    q->paused = true;
    pthread_mutex_unlock(&q->o.kit->lock);
}

static void resumed(void *arg)
{
    broker_req *q = arg;

    if (q->received)
        body_post(q);
}

static void req_resume(broker_req *q)
{
    if (called_on(q, REQUEST, CALL_http_resume) == NULL)
        return;
    pthread_mutex_lock(&q->o.kit->lock);
    q->paused = false;
    pthread_mutex_unlock(&q->o.kit->lock);
    kit_post(resumed, q);
}

/* ---- its end ---- */

static bool response_is_whole(const broker_response *r, call which)
{
    if (r == NULL || !size_is_said(r->size, sizeof *r, "broker_response"))
        return false;
    if (r->status < 200 || r->status > 599)
        finding("%s() was given the status %u", call_rules[which].name, r->status);
    for (size_t i = 0; i < r->n_headers; i++)
        if (r->headers[i].name == NULL ||
            memchr(r->headers[i].value.ptr != NULL ? r->headers[i].value.ptr : "", '\n',
                   r->headers[i].value.len) != NULL)
            finding("%s() was given a header without a name, or with a line break",
                    call_rules[which].name);
    return true;
}

/* reply(), or the reply() after a stream() that ends nothing but the reading. */
static bool ended_now(broker_req *q, request_end how, call which)
{
    bool ok;

    pthread_mutex_lock(&q->o.kit->lock);
    ok = q->end == OPEN;
    if (ok)
        q->end = how;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (!ok)
        finding("%s() was called on a request that had been ended; each is ended once",
                call_rules[which].name);
    return ok;
}

static void reply(broker_req *q, const broker_response *r)
{
    if (called_on(q, REQUEST, CALL_http_reply) == NULL || !ended_now(q, REPLIED, CALL_http_reply))
        return;
    response_is_whole(r, CALL_http_reply);
    if (r->body.len != 0 && r->body.ptr == NULL)
        finding("http.reply() was given %zu bytes at NULL", r->body.len);
    atomic_fetch_sub(&q->o.kit->requests, 1);
}

static void req_stream(broker_req *q, const broker_response *r, const broker_body *body)
{
    if (called_on(q, REQUEST, CALL_http_stream) == NULL)
        return;
    if (!response_is_whole(r, CALL_http_stream) || body == NULL ||
        !size_is_said(body->size, offsetof(broker_body, save), "broker_body") ||
        body->pull == NULL || body->close == NULL) {
        finding("http.stream() was given no body, or one without pull() or close()");
        return;
    }
    if (!ended_now(q, STREAMED, CALL_http_stream))
        return;
    memcpy(&q->body, body, body->size < sizeof q->body ? body->size : sizeof q->body);
    pull_post(q);
}

static void close_run(void *arg)
{
    broker_req *q = arg;

    CROSS("close", q->body.close(q->body.self));
    atomic_fetch_sub(&q->o.kit->requests, 1);
}

/* Under no lock. True: this caller closes. */
static void close_once(broker_req *q)
{
    bool first;

    pthread_mutex_lock(&q->o.kit->lock);
    first = !q->closed;
    q->closed = true;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (first)
        kit_submit(q, 1, close_run, q);
}

/* [worker] Pulls a part; goes on as the answer says. */
static void pull_run(void *arg)
{
    broker_req *q = arg;
    kit *k = q->o.kit;
    broker_rc rc = BROKER_EIO;
    kit_writer w;
    bool again, gone;

    writer_init(&w, WRITER_LEN);
    CROSS("pull", rc = q->body.pull(q->body.self, &w.w));
    q->n_parts++;
    q->n_bytes += w.bytes.len;
    if (rc == BROKER_OK && w.bytes.len == 0)
        finding("pull() returned BROKER_OK and had written nothing; BROKER_AGAIN waits for wake()");
    pthread_mutex_lock(&k->lock);
    q->pulling = false;
    gone = q->left || (q->plan.leaves && q->n_parts > 1) || q->n_bytes > BODY_MAX ||
           (rc != BROKER_OK && rc != BROKER_AGAIN) || (rc == BROKER_OK && w.bytes.len == 0);
    again = !gone && (w.bytes.len != 0 || q->woken);
    q->waiting = !gone && !again;
    pthread_mutex_unlock(&k->lock);
    sb_done(&w.bytes);
    if (gone)
        close_once(q);
    else if (again)
        pull_post(q);
}

/* Never twice at once. */
static void pull_post(broker_req *q)
{
    bool go;

    pthread_mutex_lock(&q->o.kit->lock);
    go = !q->pulling && !q->closed;
    if (go)
        q->pulling = true;
    q->waiting = q->woken = false;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (go)
        kit_submit(q, 1, pull_run, q);
}

static void req_wake(broker_req *q)
{
    bool now;

    if (called_on(q, REQUEST, CALL_http_wake) == NULL)
        return;
    pthread_mutex_lock(&q->o.kit->lock);
    now = q->waiting && !q->closed;
    q->woken = true;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (q->end != STREAMED)
        finding("http.wake() was called on a request that does not stream");
    else if (now)
        pull_post(q);
}

bool request_upgrade(broker_req *q)
{
    kit *k = called_on(q, REQUEST, CALL_net_upgrade);

    if (k == NULL || call_failed(k, CALL_net_upgrade) || !ended_now(q, REPLIED, CALL_net_upgrade))
        return false;
    atomic_fetch_sub(&q->o.kit->requests, 1);
    return true;
}

/* ---- routes ---- */

static void route_free(object *o)
{
    route *r = CONTAINER_OF(o, route, o);

    free(r->method);
    free(r->path);
    free(r);
}

static broker_rc route_add(broker_ctx *ctx, const broker_route *what)
{
    kit *k = kit_of(ctx);
    route *r;

    if (called(k, CALL_http_route))
        return refuse(k, CALL_http_route);
    if (what == NULL ||
        !size_is_said(what->size, offsetof(broker_route, resume_body), "broker_route"))
        return BROKER_EINVAL;
    if (what->method == NULL || what->path == NULL || what->path[0] != '/' ||
        what->on_req == NULL) {
        finding("http.route() was given no method, no on_req or no path that begins with '/'");
        return BROKER_EINVAL;
    }
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == ROUTE && !CONTAINER_OF(o, route, o)->ended &&
            strcmp(CONTAINER_OF(o, route, o)->path, what->path) == 0 &&
            strcmp(CONTAINER_OF(o, route, o)->method, what->method) == 0) {
            finding("http.route() was called twice with %s %s", what->method, what->path);
            return BROKER_EBUSY;
        }
    r = must_alloc(sizeof *r);
    memcpy(&r->r, what, what->size < sizeof r->r ? what->size : sizeof r->r);
    r->method = must_strdup(what->method);
    r->path = must_strdup(what->path);
    object_init(k, &r->o, ROUTE, route_free);
    return BROKER_OK;
}

const broker_http kit_http = {
    sizeof kit_http, 0,         route_add,  method, target,     param,    query, header, user, peer,
    receive,         req_pause, req_resume, reply,  req_stream, req_wake,
};

/* ---- sending ---- */

/* The path of the route with the plan's values in place of {names}. */
static void path_fill(const route *r, broker_req *q)
{
    char stream[64];

    snprintf(stream, sizeof stream, "%s/conformance", kit_address());
    for (const char *at = r->path; *at != '\0';) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        const char *value = q->plan.value;
        size_t len;

        if (end == NULL) {
            sb_putc(&q->target, *at++);
            continue;
        }
        len = (size_t)(end - at) - 1;
        if (at[len] == '+') {
            value = stream;
            len--;
        }
        if (strchr(end, '{') == NULL && q->plan.last != NULL)
            value = q->plan.last;
        sb_append(&q->params, at + 1, len);
        sb_append(&q->params, "", 1);
        sb_append(&q->params, value, strlen(value) + 1);
        for (const char *v = value; *v != '\0'; v++)
            sb_printf(&q->target, "%%%02x", (unsigned char)*v);
        at = end + 1;
    }
}

void request_send(route *r, const request_plan *plan)
{
    broker_req *q = must_alloc(sizeof *q);

    q->route = r;
    q->plan = *plan;
    path_fill(r, q);
    if (plan->content != NULL && (r->r.max_body != 0 || (r->r.flags & BROKER_ROUTE_STREAM) != 0))
        sb_puts(&q->content, plan->content);
    object_init(r->o.kit, &q->o, REQUEST, request_free);
    atomic_fetch_add(&r->o.kit->requests, 1);
    CROSS("on_req", r->r.on_req(r->r.self, q));
}

void requests_check(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_req *q = CONTAINER_OF(o, broker_req, o);
        bool close;

        if (o->magic != REQUEST)
            continue;
        pthread_mutex_lock(&k->lock);
        close = q->end == STREAMED && !q->closed && q->waiting;
        q->left = q->left || close;
        pthread_mutex_unlock(&k->lock);
        if (q->end == OPEN)
            finding("%s %s was never answered%s",
                    q->plan.method != NULL ? q->plan.method : q->route->method, q->route->path,
                    q->left ? " after on_abort(); reply() is due, though it goes nowhere" : "");
        if (close)
            close_once(q); /* the client has seen enough */
    }
}
