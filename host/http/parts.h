/* parts -- what the files of the HTTP server share. Not for others. */
#ifndef HTTP_PARTS_H
#define HTTP_PARTS_H

#include "http/body.h"
#include "http/http.h"
#include "http/route.h"
#include "net/head.h"
#include "net/wire.h"
#include "run/metrics.h"

#define PART_LEN   (256u * 1024u) /* of a streamed answer; one is written while one is made */
#define IDLE_BLOCK (16u * 1024u)
#define BODY_BLOCK (256u * 1024u)

typedef struct conn conn;

/* A piece of a streamed body on its way from pull() to the socket. */
typedef struct part {
    broker_writer w; /* first */
    uint8_t *bytes;  /* CHUNK_HEAD bytes free in front, CHUNK_TAIL behind */
    size_t len, cap;
} part;
#define CHUNK_HEAD 10u
#define CHUNK_TAIL 7u

struct broker_req {
    http_server *server;
    conn *conn; /* NULL: the client has left */
    ledger *owner;
    route_match match;
    head head;  /* points into text */
    char *text; /* the head as received */
    sb user, peer;
    char **query_names, **query_values;
    size_t *query_lengths, n_query;
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
};

typedef enum conn_state {
    CONN_HEAD,
    CONN_BODY,
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
    uint64_t deadline_ms;
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
void conn_late(conn *c); /* its deadline is over: end it, with 408 when that helps */

/* request.c */
broker_req *req_new(conn *c, const char *text, size_t len);
void req_free(broker_req *r);
void req_left(broker_req *r); /* the client is gone */
void req_refuse(broker_req *r, unsigned status, const char *why);
/* Check and hand to its route. */
void req_dispatch(broker_req *r);

/* answer.c */
void answer_init(broker_req *r);
void answer_left(broker_req *r);

/* server.c */
void server_conn_gone(http_server *s);
void server_req_gone(http_server *s);

#endif
