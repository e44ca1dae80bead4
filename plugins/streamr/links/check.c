/* check -- whether a node's server can be reached from outside (spec 4.5): asked, and answered. */
#include "links/parts.h"

#include <arpa/inet.h>

#define SERVICE "system/connectivity-checker"

/* ---- answering ---- */

static void put(links *ls, envelope_kind kind, const pb_table *table, const void *msg, sb *out)
{
    char id[UUID_LEN];
    sb body = SB_INIT;
    envelope e = {.kind = kind, .service = pb_bytes_of(SERVICE)};

    uuid_make(&ls->ids, id);
    e.message_id = pb_bytes_from(id, sizeof id);
    if (pb_encode(table, msg, &body)) {
        e.body = pb_bytes_from(body.data, body.len);
        envelope_append(&e, out);
    }
    sb_done(&body);
}

static void tell(sock *s, bool reachable)
{
    struct in_addr ip = {0};
    dht_method method = {.port = s->port, .host = pb_bytes_of(s->host), .tls = s->tls};
    dht_connectivity_response r = {
        .host = pb_bytes_of(s->host),
        .nat_type = pb_bytes_of(reachable ? "open_internet" : "unknown"),
        .websocket = reachable ? &method : NULL,
        .protocol_version = pb_bytes_of(GREETING_VERSION),
    };
    sb frame = SB_INIT;

    if (inet_pton(AF_INET, s->address, &ip) == 1)
        r.ip = ntohl(ip.s_addr);
    put(s->ls, ENVELOPE_CONNECTIVITY_RESPONSE, &dht_connectivity_response_table, &r, &frame);
    sock_send_own(s, &frame);
    s->deadline_ms = links_now(s->ls) + CHECK_MS; /* it closes, or we do */
}

static bool host_ok(pb_bytes host)
{
    return host.len < HOST_ROOM && (host.len == 0 || memchr(host.ptr, 0, host.len) == NULL);
}

void check_asked(sock *s, const envelope *e)
{
    links *ls = s->ls;
    dht_connectivity_request q;
    pb_arena arena = {NULL, 0, 0};
    dht_method where;

    if (e->kind != ENVELOPE_CONNECTIVITY_REQUEST || s->port != 0 || s->other != NULL ||
        envelope_open(e, &dht_connectivity_request_table, &q, &arena) != NULL)
        return;
    if (!host_ok(q.host))
        return;
    if (q.host.len != 0)
        snprintf(s->host, sizeof s->host, "%.*s", (int)q.host.len, (const char *)q.host.ptr);
    else
        snprintf(s->host, sizeof s->host, "%s", s->address);
    if (q.port == 0 || q.port > 65535 || ls->n_probes >= PROBES_MAX) {
        tell(s, false);
        return;
    }
    s->port = q.port;
    s->tls = q.tls;
    where = (dht_method){.port = q.port, .host = pb_bytes_of(s->host), .tls = q.tls};
    s->other = sock_dial(ls, SOCK_PROBE, &where, "/?action=connectivityProbe", PROBE_MS);
    if (s->other == NULL) {
        tell(s, false);
        return;
    }
    ls->n_probes++;
    s->other->other = s;
}

void check_probed(sock *s, bool reached)
{
    sock *asker = s->other;

    if (reached)
        sock_close(s, CODE_NORMAL, NULL);
    else
        s->ls->n_probes--;
    s->other = NULL;
    if (asker == NULL)
        return;
    asker->other = NULL;
    tell(asker, reached);
}

/* ---- asking ---- */

static void finish(links *ls)
{
    ls->check->finished = true; /* told by the tick */
}

void check_free(links *ls)
{
    check *c = ls->check;

    if (c == NULL)
        return;
    ls->check = NULL;
    for (size_t i = 0; i < c->n; i++)
        free((void *)c->entries[i].ptr);
    free(c->entries);
    free(c->host);
    free(c);
}

/* The next after a moment, or the end. */
static void go_on(links *ls)
{
    check *c = ls->check;

    if (++c->at == c->n)
        finish(ls);
    else
        c->next_ms = links_now(ls) + CHECK_PAUSE_MS;
}

static void ask_next(links *ls)
{
    check *c = ls->check;
    char host[HOST_ROOM];
    dht_method where;
    sock *s = NULL;

    c->next_ms = 0;
    if (peer_server(c->entries[c->at], host, sizeof host, &where))
        s = sock_dial(ls, SOCK_CHECK, &where, "/?action=connectivityRequest", PROBE_MS);
    if (s == NULL)
        go_on(ls);
    else
        s->deadline_ms = links_now(ls) + CHECK_MS;
}

void check_opened(sock *s)
{
    const check *c = s->ls->check;
    dht_connectivity_request q;
    sb frame = SB_INIT;

    if (c == NULL)
        return;
    q = (dht_connectivity_request){.port = c->port, .tls = c->tls};
    if (c->host != NULL) {
        q.host = pb_bytes_of(c->host);
        pb_set(&dht_connectivity_request_table, &q, 3);
    }
    put(s->ls, ENVELOPE_CONNECTIVITY_REQUEST, &dht_connectivity_request_table, &q, &frame);
    sock_send_own(s, &frame);
}

void check_answered(sock *s, const envelope *e)
{
    uint64_t memory[64];
    pb_arena arena = {(uint8_t *)memory, sizeof memory, 0};
    dht_connectivity_response r;
    check *c = s->ls->check;

    if (c == NULL || c->finished || e->kind != ENVELOPE_CONNECTIVITY_RESPONSE ||
        envelope_open(e, &dht_connectivity_response_table, &r, &arena) != NULL || !host_ok(r.host))
        return;
    c->found.answered = true;
    c->found.reachable = r.websocket != NULL;
    snprintf(c->found.host, sizeof c->found.host, "%.*s", (int)r.host.len,
             (const char *)r.host.ptr);
    c->found.has_ip = r.ip != 0;
    c->found.ip = r.ip;
    sock_close(s, CODE_NORMAL, NULL);
    finish(s->ls);
}

void check_failed(sock *s)
{
    check *c = s->ls->check;

    if (c != NULL && !c->finished && !c->found.answered)
        go_on(s->ls);
}

void check_tick(links *ls, uint64_t now_ms)
{
    check *c = ls->check;

    if (c == NULL)
        return;
    if (!c->finished && c->next_ms != 0 && now_ms >= c->next_ms)
        ask_next(ls);
    if (c->finished) {
        links_reach found = c->found;
        void (*done)(void *arg, const links_reach *found) = c->done;
        void *arg = c->arg;

        check_free(ls);
        done(arg, &found);
    }
}

void links_check(links *ls, const pb_bytes *entries, size_t n, uint32_t port, bool tls,
                 const char *host, void (*done)(void *arg, const links_reach *found), void *arg)
{
    check *c = must_alloc(sizeof *c);

    must(ls->check == NULL && n != 0);
    c->entries = must_alloc(n * sizeof *c->entries);
    c->n = n;
    for (size_t i = 0; i < n; i++) {
        uint8_t *copy = must_alloc(entries[i].len + 1);

        memcpy(copy, entries[i].ptr, entries[i].len);
        c->entries[i] = pb_bytes_from(copy, entries[i].len);
    }
    c->port = port;
    c->tls = tls;
    c->host = host != NULL ? must_strdup(host) : NULL;
    c->next_ms = 1; /* at the next tick */
    c->done = done;
    c->arg = arg;
    ls->check = c;
}
