/* parts -- what the files of the HTTP server share. Not for others. */
#ifndef HTTP_PARTS_H
#define HTTP_PARTS_H

#include "http/body.h"
#include "http/http.h"
#include "http/part.h"
#include "http/route.h"
#include "http/target.h"
#include "net/head.h"
#include "net/wire.h"
#include "run/metrics.h"

#define IDLE_BLOCK (16u * 1024u)
#define BODY_BLOCK (256u * 1024u)

typedef struct conn conn;

/* What a request waits for while the build that serves it is swapped. */
typedef enum waits {
    WAITS_NOT,
    WAITS_START,  /* a handler                     */
    WAITS_INTAKE, /* who reads on                  */
    WAITS_ANSWER, /* who makes the rest of the answer */
} waits;

/* What a plugin saves of a request. */
typedef struct saver {
    broker_writer w; /* first */
    sb bytes;
} saver;

struct broker_req {
    http_server *server;
    conn *conn; /* NULL: the client has left */
    ledger *owner;
    route_match match;
    head head;  /* points into text */
    char *text; /* the head as received */
    sb user, peer;
    query query;
    body_reader body;
    uint64_t body_bytes, started_ns;
    broker_intake intake;
    uint64_t max_body; /* of its route */
    bool endless;
    unsigned verdict; /* 0, 408 instead of the handler's status, or 413 instead of its answer */
    bool has_intake, body_told, paused, answered, head_only, keep;
    atomic_bool resumed, woken;
    loop_call call_answer, call_resume, call_wake;
    void (*take)(void *arg, wire *w, const uint8_t *bytes, size_t len);
    void *take_arg;

    sb answer; /* head, and body of a reply */
    unsigned status;
    bool streaming, pulling, waiting, over, cut, closing;
    broker_body stream;
    broker_rc rc; /* of the last pull */
    job job;      /* pull, then close */
    part parts[2];
    int making; /* the part that pull() fills */
    int ready;  /* a part that waits for the socket, or -1 */
    bool writing;

    waits waits;
    bool held;   /* nothing more of it is given to the plugin */
    bool saving; /* on a worker */
    bool begun;  /* its answer: another build sent the head, and maybe more */
    saver saved;
};

typedef enum conn_state {
    CONN_HEAD,
    CONN_BODY, /* a streamed answer may be on its way already */
    CONN_ANSWER,
    CONN_LINGER, /* answered before the body was over: the rest is read and thrown away */
} conn_state;

struct conn {
    wire *wire;
    http_server *server;
    conn *next, **link;
    conn_state state;
    broker_buf *in; /* in->bytes[start..len) is not looked at yet */
    size_t start, len;
    broker_req *req;
    bool closing, ending, running, eof;
    bool began; /* something of the next head is there */
    size_t lingered;
    uint64_t deadline_ms;       /* for what the client has to send */
    uint64_t write_deadline_ms; /* for what it has to take */
};

struct http_server {
    loop *loop;
    pool *pool;
    char *host;
    unsigned port, max_connections;
    size_t max_head;
    unsigned head_timeout_ms, body_timeout_ms, idle_timeout_ms;
    char **keys, **origins, **hosts;
    size_t n_keys, n_origins, n_hosts;
    tls *tls; /* NULL: plain */
    uv_tcp_t listener;
    uv_timer_t tick;
    bool open, pending, draining, closing;
    unsigned handles; /* open uv handles of the server itself */
    conn *conns;
    unsigned n_conns, n_reqs;
    route *routes;
    void (*drained)(void *arg);
    void (*closed)(void *arg);
    void *drained_arg, *closed_arg;
    metric *requests[6], *connections, *seconds;
};

/* conn.c */
void conn_accept(http_server *s);
void conn_close(conn *c);
void conn_write(conn *c, void *bytes, size_t len, void (*written)(conn *c), void *owned);
void conn_next(conn *c); /* the answer is out: on to the next request */
void conn_touch(conn *c, unsigned timeout_ms);
void conn_run(conn *c); /* look at what has been read */
/* Its wire, and what was read, go to req->take(); the connection is over. */
void conn_give(conn *c);
/* End it when a deadline is over, with 408 when that helps. */
void conn_check(conn *c, uint64_t now);

/* request.c */
broker_req *req_new(conn *c, const char *text, size_t len);
void req_free(broker_req *r);
void req_left(broker_req *r); /* the client is gone */
/* Its handler still wants the body; else that is read and thrown away until the answer is out. */
bool req_wants_body(const broker_req *r);
/* The handler hears, once, that its body ends here. verdict: see broker_req. */
void req_abort(broker_req *r, unsigned verdict);
void req_refuse(broker_req *r, unsigned status, const char *why);
/* Check and hand to its route. */
void req_dispatch(broker_req *r);
/* The route it goes to, or NULL; the caller ends the match. */
const route *req_route(broker_req *r, route_match *match);
/* It is the route's plugin's from now on. */
void req_own(broker_req *r, const route *to);
/* Its plugin has nothing to do with it any more. */
void req_disown(broker_req *r);

/* answer.c */
void answer_init(broker_req *r);
void answer_go_on(broker_req *r);
void answer_left(broker_req *r);

/* server.c */
void server_conn_gone(http_server *s);
void server_req_gone(http_server *s);

#endif
