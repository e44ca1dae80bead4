/* parts -- what the files of net share. Not for others. */
#ifndef NET_PARTS_H
#define NET_PARTS_H

#include "net/net.h"
#include "net/outq.h"
#include "net/shake.h"
#include "net/slab.h"
#include "net/ws.h"
#include "run/metrics.h"

#define TICK_MS      100u
#define SHAKE_MS     10000u /* an accepted connection: TLS and WebSocket handshake */
#define CONNECT_MS   10000u /* where the plugin says nothing                       */
#define LINGER_MS    5000u  /* to send what is queued and see the peer's end       */
#define LINGER_BYTES (8u << 20)
#define STOP_MS      1000u /* the same when the node stops */
#define HIGH_WATER   (1u << 20)
#define MESSAGE_MAX  (1u << 20)
#define QUEUE_MIN    (16u << 20) /* most bytes queued: this or 4 times high_water */
#define CONNECTIONS  1000u
#define BATCH_BYTES  (256u * 1024u) /* written at once */
#define SCRATCH      (64u * 1024u)

typedef enum sock_state {
    SOCK_WAIT,   /* for its wire: looking up, connecting, a request being handed over */
    SOCK_SECURE, /* TLS handshake */
    SOCK_SHAKE,  /* WebSocket handshake */
    SOCK_OPEN,
    SOCK_CLOSING, /* what is queued goes out, what comes is thrown away */
    SOCK_GONE,
} sock_state;

typedef enum close_reason {
    CLOSE_PEER,    /* the peer ended it in order        */
    CLOSE_LOCAL,   /* close(), unpark, forget           */
    CLOSE_LOST,    /* broken                            */
    CLOSE_RULES,   /* it broke the rules of WebSockets  */
    CLOSE_TIMEOUT, /* silent, or slow to open           */
    CLOSE_SLOW,    /* it does not read what it is sent  */
    CLOSE_REASONS
} close_reason;

typedef enum refuse_reason {
    REFUSE_LIMIT,
    REFUSE_PLUGIN,
    REFUSE_HANDSHAKE,
    REFUSE_TIMEOUT,
    REFUSE_REASONS
} refuse_reason;

typedef struct dial dial;

struct broker_conn {
    net *net;
    broker_conn *next, **link;
    uint64_t id;
    ledger *owner;             /* whom it calls; NULL: nobody */
    char name[32];             /* plugin; after its ledger is gone too */
    broker_listener *listener; /* that accepted it and is still there; counts it */
    bool asked;                /* accepted() said yes, or there is nobody to ask */
    broker_peer_calls calls;
    uint32_t kind;
    bool server;
    sock_state state;
    bool parked, taken; /* taken: by a build that has not been unparked yet */
    bool opened;        /* on_open() was called */
    bool held;          /* a swap is near: nothing more is read */
    bool paused, ended, waits_for_wire;

    size_t low, high, max_message;
    uint32_t ping_ms, silence_ms;
    char *host, *path, *protocol, *tls_name; /* client; protocol: server too */
    uint32_t port;
    sb address;

    dial *dial;
    wire *wire;
    ws *ws;
    sb head;             /* of the handshake */
    const head *request; /* while its plugin is asked about it; else NULL */
    char key[SHAKE_KEY];

    outq out;
    outq batch; /* with the wire */
    bool writing, drain_due, fin_said, eof;
    bool stalled; /* messages wait that no socket event will announce */
    sb rest;      /* read, and not looked at yet */

    bool dirty; /* in net->dirty */
    broker_conn *dirty_next, **dirty_link;

    uint64_t deadline_ms; /* 0: none */
    uint64_t heard_ms, pinged_ms;
    size_t lingered;
    int32_t code;
    char *why;
    close_reason reason;
};

struct broker_listener {
    net *net;
    broker_listener *next, **link;
    ledger *owner; /* NULL: nobody */
    char name[32];
    uv_tcp_t tcp;
    char *host;
    uint32_t wanted_port, port, kind;
    tls *tls;
    broker_net_options opt; /* without its strings */
    char *protocol;
    net_accepted accepted;
    void *self;
    unsigned n_conns, max_conns;
    bool parked, held, taken, pending;
};

/* A line in the log at most every few seconds, with how many were left out. */
typedef struct quota {
    uint64_t next_ms, left_out;
} quota;

struct net {
    loop *loop;
    uv_prepare_t prepare;
    uv_timer_t tick;
    bool ticking, closing;
    unsigned handles; /* of its own and of listeners */
    broker_conn *conns, *dirty;
    broker_listener *listeners;
    unsigned n_conns;
    uint64_t last_id;
    slab slab;
    tls *client_tls[2]; /* without and with ALPN; made on first use */
    quota refused_said, slow_said;
    void (*closed)(void *arg);
    void *closed_arg;
    metric *connections, *accepted, *dialled, *refused[REFUSE_REASONS], *ended[CLOSE_REASONS];
    metric *in, *out;
    uint8_t scratch[SCRATCH];
};

/* ---- sock.c: one connection ---- */
broker_conn *sock_new(net *n, ledger *owner, const broker_net_options *opt);
void sock_free(broker_conn *c);
/* The handshakes are over. */
void sock_open(broker_conn *c);
/* Look at it before the loop waits: write, go on reading, tell what was held back. */
void sock_later(broker_conn *c);
void sock_step(broker_conn *c);
/* Send what is queued, say the end, wait for the peer's. why: NULL, or a sentence. */
void sock_close(broker_conn *c, close_reason reason, int32_t code, const char *why);
/* Close at once. */
void sock_cut(broker_conn *c, close_reason reason, int32_t code, const char *why);
/* Tell of the end, if there is whom to tell, and free. */
void sock_end(broker_conn *c);
void sock_tick(broker_conn *c, uint64_t now);
bool sock_is_ws(const broker_conn *c);
static inline bool sock_can_hear(const broker_conn *c)
{
    return c->owner != NULL && !c->parked;
}
/* Its plugin takes nothing now. */
static inline bool sock_is_paused(const broker_conn *c)
{
    return c->paused || c->held;
}
static inline size_t sock_queued(const broker_conn *c)
{
    return c->out.bytes + c->batch.bytes;
}

/* ---- flow.c: its bytes ---- */
wire *flow_wire(broker_conn *c, tls *with);
const wire_calls *flow_wire_calls(void);
ws *flow_ws(broker_conn *c);
/* Read, or not, as it stands. */
void flow_read_set(broker_conn *c);
/* What came behind the handshake. */
void flow_feed(broker_conn *c, const uint8_t *bytes, size_t len);
/* What was read while nobody wanted it. */
void flow_rest(broker_conn *c);
void flow_flush(broker_conn *c);

/* ---- open.c: how a connection comes to be open ---- */
void open_begin(broker_conn *c);
void open_feed(broker_conn *c, const uint8_t *bytes, size_t len);

/* ---- dial.c: looking up and connecting ---- */
void dial_start(broker_conn *c);
/* The wire could not connect: the next address. False: there is none. */
bool dial_next(broker_conn *c, const char *why);
void dial_drop(broker_conn *c);

/* ---- listen.c ---- */
void listener_accept(broker_listener *l);
void listener_close(broker_listener *l);

/* ---- net.c ---- */
uint64_t net_now(const net *n);
void net_handle_gone(net *n);
void net_conn_come(net *n);
void net_conn_gone(net *n);
void net_refused(net *n, const char *plugin, refuse_reason reason, const char *who,
                 const char *why);
void net_slow(net *n, const char *plugin, const char *who, const char *why);

#endif
