/* sock -- one socket: what it may bring and take, and when it is given up. */
#include "links/parts.h"

/* ---- what comes ---- */

void sock_flow(sock *s)
{
    bool want = !s->closing && (s->spent || s->ls->paused);

    if (!s->open || s->closing || want == s->paused)
        return;
    s->paused = want;
    if (want)
        s->ls->net->pause(s->conn);
    else
        s->ls->net->resume(s->conn);
}

static void stray(sock *s)
{
    links_add(s->ls, LINKS_COUNT_REFUSED, 1);
    sock_close(s, CODE_RULES, "no handshake came");
}

/* Before the handshake: what does not parse is passed over, but not without end. */
static void before_handshake(sock *s, pb_bytes frame)
{
    envelope e;

    if (++s->strays > STRAYS_MAX) {
        stray(s);
        return;
    }
    if (envelope_read(frame.ptr, frame.len, &e) != NULL)
        return;
    if (s->role == SOCK_PEER)
        shake_frame(s, &e);
    else if (s->role == SOCK_ASKER)
        check_asked(s, &e);
    else if (s->role == SOCK_CHECK)
        check_answered(s, &e);
}

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    sock *s = self;
    links *ls = s->ls;
    peer_link *l = s->link;
    pb_bytes frame = {data.ptr, data.len};

    (void)conn;
    if (s->closing)
        return;
    links_add(ls, LINKS_COUNT_FRAMES_IN, 1);
    links_add(ls, LINKS_COUNT_BYTES_IN, data.len);
    if (!rate_take(&s->rate, data.len)) {
        s->spent = true;
        links_add(ls, LINKS_COUNT_THROTTLED, 1);
        sock_flow(s);
    }
    if (text != 0)
        return; /* only binary frames count */
    if (l == NULL || l->state != LINK_OPEN) {
        before_handshake(s, frame);
        return;
    }
    l->used_ms = links_now(ls);
    ls->calls.frame(ls->calls.arg, l, buf, frame);
}

/* ---- what goes ---- */

static broker_rc sent(sock *s, broker_rc rc, size_t len)
{
    links *ls = s->ls;

    if (rc != BROKER_OK && rc != BROKER_AGAIN)
        return BROKER_EGONE;
    links_add(ls, LINKS_COUNT_FRAMES_OUT, 1);
    links_add(ls, LINKS_COUNT_BYTES_OUT, len);
    if (rc == BROKER_AGAIN && !s->full) {
        s->full = true;
        s->full_since_ms = links_now(ls);
    }
    return BROKER_OK;
}

broker_rc sock_send(sock *s, pb_bytes frame)
{
    if (s->closing)
        return BROKER_EGONE;
    return sent(s, s->ls->net->send(s->conn, (broker_bytes){frame.ptr, frame.len}, 0), frame.len);
}

broker_rc sock_send_buf(sock *s, broker_buf *buf, pb_bytes frame)
{
    if (s->closing)
        return BROKER_EGONE;
    return sent(s, s->ls->net->send_buf(s->conn, buf, (broker_bytes){frame.ptr, frame.len}, 0),
                frame.len);
}

void sock_send_own(sock *s, sb *frame)
{
    sock_send(s, pb_bytes_from(frame->data, frame->len));
    sb_done(frame);
}

static void on_drain(void *self, broker_conn *conn)
{
    sock *s = self;

    (void)conn;
    s->full = false;
}

/* ---- its life ---- */

static void on_open(void *self, broker_conn *conn)
{
    sock *s = self;

    (void)conn;
    s->open = true;
    rate_init(&s->rate, s->ls->o.frames_per_s, links_now(s->ls));
    if (s->closing)
        return;
    sock_flow(s);
    if (s->role == SOCK_PEER && s->dialled)
        shake_begin(s);
    else if (s->role == SOCK_PROBE)
        check_probed(s, true);
    else if (s->role == SOCK_CHECK)
        check_opened(s);
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    sock *s = self;
    links *ls = s->ls;
    peer_link *l = s->link;

    (void)conn;
    (void)why;
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    if (!s->dialled)
        ls->n_accepted--;
    if (s->role == SOCK_PROBE)
        check_probed(s, false);
    else if (s->role == SOCK_CHECK)
        check_failed(s);
    if (s->other != NULL)
        s->other->other = NULL;
    /* An awaited link goes on without its socket: the other side makes one. */
    if (l != NULL && l->sock == s) {
        l->sock = NULL;
        if (l->state != LINK_AWAITED)
            link_end_now(l,
                         code == CODE_LEAVING || code == CODE_LEAVING_OUT ? LINK_LEFT : LINK_LOST);
    }
    free(s);
    links_tell_ended(ls);
}

static const broker_peer_calls calls = {
    .size = sizeof calls,
    .on_open = on_open,
    .on_data = on_data,
    .on_drain = on_drain,
    .on_close = on_close,
};

static sock *sock_new(links *ls, sock_role role, bool dialled)
{
    sock *s = must_alloc(sizeof *s);

    s->ls = ls;
    s->role = role;
    s->dialled = dialled;
    s->deadline_ms = links_now(ls) + LINKS_SETUP_MS;
    s->next = ls->socks;
    s->at = &ls->socks;
    if (s->next != NULL)
        s->next->at = &s->next;
    ls->socks = s;
    return s;
}

static void sock_drop(sock *s)
{
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    free(s);
}

sock *sock_dial(links *ls, sock_role role, const dht_method *where, const char *path,
                uint32_t timeout_ms)
{
    sock *s = sock_new(ls, role, true);
    char *host = must_strndup((const char *)where->host.ptr, where->host.len);
    broker_net_options o = {
        .size = sizeof o,
        .kind = where->tls ? BROKER_NET_WSS : BROKER_NET_WS,
        .host = host,
        .port = where->port,
        .max_message = ls->o.max_message,
        .high_water = LINKS_HIGH,
        .connect_timeout_ms = timeout_ms,
        .ping_ms = LINKS_STUCK_MS,
        .silence_ms = LINKS_STUCK_MS,
        .path = path,
    };
    broker_peer_calls mine = calls;
    broker_rc rc;

    mine.self = s;
    rc = ls->net->connect(ls->ctx, &o, &mine, &s->conn);
    free(host);
    if (rc == BROKER_OK)
        return s;
    sock_drop(s);
    return NULL;
}

void sock_close(sock *s, int32_t code, const char *why)
{
    if (s->closing)
        return;
    s->closing = true;
    s->ls->net->close(s->conn, code, why);
}

/* ---- accepting ---- */

static sock_role role_of(broker_str target)
{
    static const struct {
        const char *action;
        sock_role role;
    } roles[] = {
        {"action=connectivityRequest", SOCK_ASKER},
        {"action=connectivityProbe", SOCK_PROBED},
    };
    const char *query = memchr(target.ptr, '?', target.len);

    for (size_t i = 0; query != NULL && i < COUNT_OF(roles); i++) {
        size_t len = strlen(roles[i].action);
        const char *at = query + 1, *end = target.ptr + target.len;

        while (at < end) {
            const char *next = memchr(at, '&', (size_t)(end - at));
            size_t n = (size_t)((next != NULL ? next : end) - at);

            if (n == len && memcmp(at, roles[i].action, len) == 0)
                return roles[i].role;
            at = next != NULL ? next + 1 : end;
        }
    }
    return SOCK_PEER;
}

static void address_of(links *ls, broker_conn *conn, char *out, size_t room)
{
    broker_str text = ls->net->address(conn);
    size_t len = text.len;

    while (len > 0 && text.ptr[len - 1] != ':')
        len--;
    len = len > 0 ? len - 1 : text.len;
    if (len >= 2 && text.ptr[0] == '[' && text.ptr[len - 1] == ']') {
        text.ptr++;
        len -= 2;
    }
    snprintf(out, room, "%.*s", (int)len, text.ptr);
}

broker_rc sock_accepted(void *self, broker_conn *conn, broker_str target, broker_peer_calls *out)
{
    links *ls = self;
    char address[sizeof(((sock *)NULL)->address)];
    uint32_t same = 0;
    sock *s;

    address_of(ls, conn, address, sizeof address);
    for (const sock *other = ls->socks; other != NULL; other = other->next)
        same += !other->dialled && !other->closing && strcmp(other->address, address) == 0;
    if (ls->leaving || ls->n_accepted >= ls->o.max_sockets || same >= ls->o.max_per_address) {
        links_add(ls, LINKS_COUNT_REFUSED, 1);
        return 503;
    }
    s = sock_new(ls, role_of(target), false);
    s->conn = conn;
    memcpy(s->address, address, sizeof address);
    ls->n_accepted++;
    *out = calls;
    out->self = s;
    return BROKER_OK;
}

/* ---- time ---- */

void sock_tick(sock *s, uint64_t now_ms)
{
    if (s->closing || !s->open)
        return;
    if (s->spent) {
        rate_fill(&s->rate, s->ls->o.frames_per_s, now_ms);
        s->spent = s->rate.tokens <= 0;
        sock_flow(s);
    } else
        rate_fill(&s->rate, s->ls->o.frames_per_s, now_ms);
    if (s->full && now_ms - s->full_since_ms >= LINKS_STUCK_MS)
        sock_close(s, 1008, "it does not read what it is sent");
    else if (s->deadline_ms != 0 && now_ms >= s->deadline_ms)
        sock_close(s, CODE_NORMAL, NULL);
}
