/* sockets -- what listen.c and conn.c of net share. Not for others. */
#ifndef NET_SOCKETS_H
#define NET_SOCKETS_H

#include "net/frames.h"
#include "net/net.h"
#include "net/wire.h"
#include "run/metrics.h"

typedef struct net_metrics {
    metric *open, *accepted, *refused, *dropped, *bytes_in, *bytes_out;
} net_metrics;

struct net {
    loop *loop;
    uv_timer_t tick;
    broker_conn *conns;
    broker_listener *listeners;
    unsigned n_conns;
    uint64_t last_id;
    unsigned open; /* handles, connections and listeners that are still to close */
    bool closing;
    net_metrics metrics;
};

struct broker_listener {
    broker_listener *next;
    net *net;
    ledger *owner;
    uv_tcp_t tcp;
    char *host;
    uint32_t kind, port;  /* as asked for */
    uint32_t bound;       /* the port it has */
    broker_net_options o; /* its texts are not used any more, but for protocol */
    char *protocol;
    tls *tls; /* NULL: plain */
    net_accepted accepted;
    void *self;
    unsigned n_conns;
    bool parked, vacant, closing, closed;
    bool pending;     /* somebody waits to be accepted */
    uint64_t said_ms; /* when a refusal was logged */
};

typedef enum conn_stage {
    STAGE_HEAD,  /* the request of a WebSocket is being read          */
    STAGE_ASKED, /* it is there, and nobody may be asked while parked */
    STAGE_OPEN,
    STAGE_LAST, /* what is queued goes out, then it closes           */
} conn_stage;

/* A message that came while the plugin did not read. */
typedef struct waiting {
    broker_buf *buf;
    bool text;
} waiting;

struct broker_conn {
    wire wire;
    net *net;
    broker_conn *next, **link;
    broker_listener *listener; /* outlives it */
    ledger *owner;             /* NULL: no plugin has it */
    broker_peer_calls calls;
    uint64_t id;
    conn_stage stage;
    bool is_ws, paused, held, parked, vacant, opened, above, drained, inside, closing, closed;
    int32_t code;
    char *why;
    uint32_t low_water, high_water, ping_ms, silence_ms;
    size_t queued;
    uint64_t deadline_ms; /* of the head, and of the last stage; 0: none */
    uint64_t heard_ms, pinged_ms;
    broker_buf *in; /* in->bytes[start..len) is not looked at yet */
    size_t start, len;
    frames *frames;
    waiting *backlog;
    size_t n_backlog;
    sb address;
};

/* conn.c */
void conn_begin(broker_listener *l);
void conn_take(broker_conn *c); /* as far as it can go now */
void conn_tick(broker_conn *c, uint64_t now_ms);
void conn_end(broker_conn *c, int32_t code, const char *why); /* now */
void conn_free_when_over(broker_conn *c);

/* listen.c */
void listener_free_when_over(broker_listener *l);
void net_free_when_over(net *n);
uint64_t net_now(const net *n);

#endif
