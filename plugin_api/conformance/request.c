/* request -- see request.h: what a plugin may ask of a request, and how it is ended. */
#include "request.h"

static void request_free(object *o)
{
    broker_req *q = CONTAINER_OF(o, broker_req, o);

    sb_done(&q->params);
    sb_done(&q->target);
    sb_done(&q->content);
    free(q);
}

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
    if (strcasecmp(name, "accept") == 0)
        return text_of(q->plan.part % 2 == 1 ? "application/x-ndjson" : "*/*");
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

void request_go_on(broker_req *q)
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
    if (q->plan.held && q->sent >= q->content.len / 2)
        return; /* until the host swaps */
    body_part(q, len < left ? len : left);
    if (!q->over)
        request_go_on(q);
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
    request_go_on(q);
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
        request_go_on(q);
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
    answer_pull(q);
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
    sizeof kit_http, 0,      route_add,  method,      target,  param,
    query,           header, user,       peer,        receive, req_pause,
    req_resume,      reply,  req_stream, answer_wake,
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

broker_req *request_new(route *r, const request_plan *plan)
{
    broker_req *q = must_alloc(sizeof *q);

    q->route = r;
    q->plan = *plan;
    path_fill(r, q);
    if (plan->content != NULL && (r->r.max_body != 0 || (r->r.flags & BROKER_ROUTE_STREAM) != 0))
        sb_puts(&q->content, plan->content);
    object_init(r->o.kit, &q->o, REQUEST, request_free);
    atomic_fetch_add(&r->o.kit->requests, 1);
    return q;
}

void request_send(route *r, const request_plan *plan)
{
    broker_req *q = request_new(r, plan);

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
            answer_close(q); /* the client has seen enough */
    }
}
