/* request -- one request: what it asks, whether it may, whose it is. */
#include "http/parts.h"

#include <arpa/inet.h>
#include <strings.h>

broker_req *req_new(conn *c, const char *text, size_t len)
{
    broker_req *r = must_alloc(sizeof *r);

    r->server = c->server;
    r->conn = c;
    r->text = must_strndup(text, len);
    r->started_ns = clock_mono_ns();
    r->ready = -1;
    body_none(&r->body);
    answer_init(r);
    r->server->n_reqs++;
    return r;
}

void req_free(broker_req *r)
{
    http_server *s = r->server;

    must(r->conn == NULL);
    if (r->owner != NULL)
        req_disown(r);
    route_match_done(&r->match);
    query_done(&r->query);
    free(r->text);
    sb_done(&r->user);
    sb_done(&r->peer);
    sb_done(&r->answer);
    sb_done(&r->saved.bytes);
    free(r->parts[0].bytes);
    free(r->parts[1].bytes);
    free(r);
    server_req_gone(s);
}

void req_left(broker_req *r)
{
    r->conn = NULL;
    if (req_wants_body(r) && !r->body_told)
        req_abort(r, 0);
    /* Else it still has to be ended: by its handler, or by the refusal that is on its way. */
    if (r->answered)
        answer_left(r);
    else if (r->waits != WAITS_NOT) /* nobody has it */
        req_free(r);
}

bool req_wants_body(const broker_req *r)
{
    if (!r->has_intake || r->over || r->cut || r->closing)
        return false;
    return !r->answered || r->streaming;
}

void req_abort(broker_req *r, unsigned verdict)
{
    r->verdict = verdict;
    r->keep = false;
    r->has_intake = false;
    CROSS(r->owner, "on_abort", r->intake.on_abort(r->intake.self, r));
}

static bool is_method(const broker_req *r, const char *name)
{
    return r->head.method.len == strlen(name) &&
           memcmp(r->head.method.ptr, name, r->head.method.len) == 0;
}

/* allow: the methods of a 405, or NULL. */
static void refuse(broker_req *r, unsigned status, const char *why, const char *allow)
{
    sb body = SB_INIT;
    broker_header header = {"Allow", {allow, allow != NULL ? strlen(allow) : 0}};
    broker_response response = {.size = sizeof response, .status = status, .headers = &header};

    if (status == 401)
        header = (broker_header){"WWW-Authenticate", {"Bearer", 6}};
    response.n_headers = allow != NULL || status == 401;
    r->head_only = is_method(r, "HEAD"); /* also of a head that breaks off behind it */
    if (status == 401 || status == 403) {
        sb_puts(&body, why);
        response.type = "text/plain; charset=utf-8";
    } else {
        sb_puts(&body, "{\"error\":");
        sb_json_string(&body, why, strlen(why));
        sb_puts(&body, "}");
        response.type = "application/json";
    }
    response.body = (broker_bytes){(const uint8_t *)body.data, body.len};
    http_reply(r, &response);
    sb_done(&body);
}

void req_refuse(broker_req *r, unsigned status, const char *why)
{
    refuse(r, status, why, NULL);
}

static bool str_is(broker_str s, const char *text)
{
    return s.ptr != NULL && s.len == strlen(text) && strncasecmp(s.ptr, text, s.len) == 0;
}

static bool in_list(char *const *list, size_t n, broker_str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(s, list[i]))
            return true;
    return false;
}

/* Against DNS rebinding: a page of another name must not reach us under that name. */
static bool host_is_ours(const http_server *s, broker_str host)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *colon = host.len != 0 ? memrchr(host.ptr, ':', host.len) : NULL;
    broker_str name = host;

    if (host.ptr == NULL)
        return true; /* HTTP/1.0 */
    if (colon != NULL && memchr(colon, ']', host.len - (size_t)(colon - host.ptr)) == NULL)
        name.len = (size_t)(colon - host.ptr);
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (str_is(name, own[i]))
            return true;
    if (str_is(name, s->host))
        return true;
    for (size_t i = 0; i < s->n_hosts; i++)
        if (strcmp(s->hosts[i], "*") == 0 || str_is(name, s->hosts[i]) || str_is(host, s->hosts[i]))
            return true;
    /* Bound to all addresses: clients name the one they reach, which we cannot list. */
    return strcmp(s->host, "0.0.0.0") == 0 || strcmp(s->host, "::") == 0;
}

/* 0, or the status: an API key in `Authorization: bearer KEY`. */
static unsigned key_check(const http_server *s, broker_str header)
{
    broker_str key;

    if (s->n_keys == 0)
        return 0;
    if (header.ptr == NULL || header.len < 7 || strncasecmp(header.ptr, "bearer ", 7) != 0)
        return 401;
    key = (broker_str){header.ptr + 7, header.len - 7};
    for (size_t i = 0; i < s->n_keys; i++)
        if (same_secret(s->keys[i], key.ptr, key.len))
            return 0;
    return 403;
}

static bool is_read(const broker_req *r)
{
    return is_method(r, "GET") || is_method(r, "HEAD");
}

/* A WebSocket is as good as a write: browsers let every page open one. */
static bool is_harmless(const broker_req *r)
{
    return is_read(r) && !head_has(&r->head, "Upgrade", "websocket");
}

static bool escapes_are_whole(broker_str target)
{
    sb decoded = SB_INIT;
    bool ok = percent_decode(target.ptr, target.len, false, &decoded);

    sb_done(&decoded);
    return ok;
}

/* 0, or the status and why the request may not go on. */
static unsigned gate(broker_req *r, const char **why)
{
    const http_server *s = r->server;
    broker_str origin = head_get(&r->head, "Origin"), authority = target_authority(r->head.target);
    unsigned status;

    *why = "this node does not answer to that Host; list it in httpServer.allowedHosts";
    if (!host_is_ours(s, authority.ptr != NULL ? authority : head_get(&r->head, "Host")))
        return 421;
    if (!is_harmless(r) && origin.ptr != NULL && !in_list(s->origins, s->n_origins, origin)) {
        *why = "pages of that origin may not write here; list it in httpServer.allowedOrigins";
        return 403;
    }
    if ((r->match.route->r.flags & BROKER_ROUTE_PUBLIC) != 0)
        return 0;
    status = key_check(s, head_get(&r->head, "Authorization"));
    *why = status == 401 ? "Unauthorized" : "Forbidden";
    if (status == 0 && s->n_keys == 0 && !is_harmless(r) && !host_is_loopback(s->host)) {
        *why = "this node is reachable from other machines; writing takes an API key "
               "(apiAuthentication.keys)";
        status = 403;
    }
    return status;
}

static void preflight(broker_req *r)
{
    static const broker_header headers[] = {
        {"Access-Control-Allow-Methods", {"GET,HEAD,POST", 13}},
        {"Access-Control-Allow-Headers", {"Authorization,Content-Type", 26}},
        {"Access-Control-Max-Age", {"600", 3}},
    };
    broker_response response = {
        .size = sizeof response, .status = 204, .headers = headers, .n_headers = COUNT_OF(headers)};

    http_reply(r, &response);
}

const route *req_route(broker_req *r, route_match *match)
{
    sb allow = SB_INIT;
    broker_str behind;

    memset(match, 0, sizeof *match);
    route_find(r->server->routes, r->head.method, target_path(r->head.target, &behind), match,
               &allow);
    sb_done(&allow);
    return match->route;
}

void req_own(broker_req *r, const route *to)
{
    r->owner = to->owner;
    r->endless = (to->r.flags & BROKER_ROUTE_STREAM) != 0;
    r->max_body = to->r.max_body;
    atomic_fetch_add(&r->owner->requests, 1);
}

void req_disown(broker_req *r)
{
    atomic_fetch_sub(&r->owner->requests, 1);
    r->owner = NULL;
}

static bool must_wait(const broker_req *r)
{
    route_state state = r->match.route->state;

    return state == ROUTE_PARKED || state == ROUTE_VACANT || (state == ROUTE_HELD && !is_read(r));
}

void req_dispatch(broker_req *r)
{
    broker_str path, behind;
    const char *why;
    sb allow = SB_INIT;
    unsigned status;

    r->head_only = is_method(r, "HEAD");
    if (!escapes_are_whole(r->head.target)) {
        req_refuse(r, 400, "a '%' in the target has no two hexadecimal digits behind it");
        return;
    }
    path = target_path(r->head.target, &behind);
    if (r->query.n == 0) /* it may have waited and come again */
        query_parse(&r->query, behind);
    if (is_method(r, "OPTIONS")) {
        preflight(r);
        return;
    }
    route_match_done(&r->match);
    status = route_find(r->server->routes, r->head.method, path, &r->match, &allow);
    if (status == 0)
        status = gate(r, &why);
    else
        why =
            status == 404 ? "there is nothing at this path" : "this path does not take that method";
    if (status == 0 && (r->match.route->r.flags & BROKER_ROUTE_STREAM) == 0 && r->head.has_length &&
        r->head.length > r->match.route->r.max_body) {
        why = "the body is larger than this path takes";
        status = 413;
    }
    if (status == 405 && strstr(allow.data, "GET") != NULL)
        sb_puts(&allow, ", HEAD");
    if (status != 0)
        refuse(r, status, why, status == 405 ? allow.data : NULL);
    sb_done(&allow);
    if (status != 0)
        return;
    if (must_wait(r)) {
        r->waits = WAITS_START;
        return;
    }
    req_own(r, r->match.route);
    CROSS(r->owner, "on_req", r->match.route->r.on_req(r->match.route->r.self, r));
}

/* ---- accessors ---- */

broker_str http_method(broker_req *r)
{
    return r->head.method;
}

broker_str http_target(broker_req *r)
{
    return r->head.target;
}

broker_str http_param(broker_req *r, const char *name)
{
    for (size_t i = 0; i < r->match.n; i++)
        if (strcmp(r->match.names[i], name) == 0)
            return (broker_str){r->match.values[i], r->match.lengths[i]};
    return (broker_str){NULL, 0};
}

size_t http_params(const broker_req *r)
{
    return r->match.n;
}

broker_str http_param_at(const broker_req *r, size_t i, broker_str *name)
{
    *name = (broker_str){r->match.names[i], strlen(r->match.names[i])};
    return (broker_str){r->match.values[i], r->match.lengths[i]};
}

broker_str http_query(broker_req *r, const char *name)
{
    return query_get(&r->query, name);
}

broker_str http_header(broker_req *r, const char *name)
{
    return head_get(&r->head, name);
}

broker_str http_user(broker_req *r)
{
    return (broker_str){r->user.data, r->user.len};
}

broker_str http_peer(broker_req *r)
{
    if (r->peer.len == 0 && r->conn != NULL)
        wire_peer(r->conn->wire, &r->peer);
    return (broker_str){r->peer.data, r->peer.len};
}

broker_rc http_receive(broker_req *r, const broker_intake *intake)
{
    if (r->has_intake || r->answered)
        return BROKER_EINVAL;
    memset(&r->intake, 0, sizeof r->intake);
    memcpy(&r->intake, intake, intake->size < sizeof r->intake ? intake->size : sizeof r->intake);
    r->has_intake = true;
    if (r->head.expects_continue && !body_is_over(&r->body) && r->conn != NULL) {
        r->head.expects_continue = false;
        conn_write(r->conn, (char *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL, NULL);
    }
    return BROKER_OK;
}

void http_pause(broker_req *r)
{
    r->paused = true;
}
