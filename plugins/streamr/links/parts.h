/* parts -- what the files of links share. Not for others. [loop] */
#ifndef STREAMR_LINKS_PARTS_H
#define STREAMR_LINKS_PARTS_H

#include "links/links.h"
#include "links/rate.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

#define BUCKETS          1024u
#define TICK_MS          100u
#define MAKING_MAX       128u /* links being made at once */
#define STRAYS_MAX       32u  /* frames before the handshake that are looked over */
#define PROBES_MAX       16u  /* dial-backs for others at once */
#define PROBE_MS         1000u
#define CHECK_MS         5000u
#define CHECK_PAUSE_MS   2000u
#define CODE_NORMAL      1000
#define CODE_LEAVING     1001 /* said by the side that accepted */
#define CODE_RULES       1002
#define CODE_LEAVING_OUT 3001 /* said by the side that dialled: browsers cannot say 1001 */

typedef enum sock_role {
    SOCK_PEER,
    SOCK_ASKER,  /* accepted: asks whether it can be reached */
    SOCK_PROBED, /* accepted: somebody only tries */
    SOCK_PROBE,  /* dialled: we only try, for an asker */
    SOCK_CHECK,  /* dialled: we ask an entry point */
} sock_role;

typedef struct check check;

struct sock {
    links *ls;
    sock *next, **at; /* in ls->socks */
    broker_conn *conn;
    sock_role role;
    bool dialled;
    bool open;    /* on_open() came */
    bool closing; /* we closed it; what comes is not looked at */
    bool paused;  /* as the host knows it */
    bool spent;   /* has used up its rate */
    bool full;    /* above high water */
    uint64_t full_since_ms;
    uint64_t deadline_ms; /* 0: none */
    unsigned strays;
    rate rate;
    peer_link *link;  /* NULL: no handshake yet, or no longer its socket */
    char address[64]; /* without the port */
    /* SOCK_ASKER and its SOCK_PROBE know each other. */
    sock *other;
    uint32_t port; /* of the asker's server */
    bool tls;
    char host[HOST_ROOM];
};

struct check {
    pb_bytes *entries; /* own memory */
    size_t n, at;
    uint32_t port;
    bool tls;
    char *host;
    uint64_t next_ms; /* when the next is asked; 0: one is being asked */
    links_reach found;
    bool finished;
    void (*done)(void *arg, const links_reach *found);
    void *arg;
};

struct links {
    broker_ctx *ctx;
    const broker_net *net;
    const broker_work *work;
    const broker_bus *bus;
    links_options o; /* descriptor: own memory */
    links_calls calls;
    broker_listener *listener;
    uuid_source ids;
    peer_link *buckets[BUCKETS];
    peer_link *ended, **ended_last;
    sock *socks;
    unsigned n_open, n_making, n_accepted, n_probes;
    bool paused, leaving;
    broker_timer *timer, *soon;
    uint64_t swept_ms;
    void (*tick)(void *arg);
    void *tick_arg;
    check *check;
    uint64_t counts[LINKS_COUNTS];
    sb scratch;
};

/* ---- links.c ---- */
peer_link *link_new(links *ls, const node_id *id, pb_bytes descriptor);
void link_describe(peer_link *l, pb_bytes descriptor);
/* Its handshake is over, on s. */
void link_open(peer_link *l, sock *s);
void link_end_now(peer_link *l, link_end end);
/* Tell of what has ended. Only from the loop's own callbacks. */
void links_tell_ended(links *ls);
static inline void links_add(links *ls, links_count which, uint64_t n)
{
    ls->counts[which] += n;
}

/* ---- sock.c ---- */
sock *sock_dial(links *ls, sock_role role, const dht_method *where, const char *path,
                uint32_t timeout_ms);
broker_rc sock_accepted(void *self, broker_conn *conn, broker_str target, broker_peer_calls *calls);
broker_rc sock_send(sock *s, pb_bytes frame);
broker_rc sock_send_buf(sock *s, broker_buf *buf, pb_bytes frame);
void sock_send_own(sock *s, sb *frame); /* handshakes and checks: never refused */
/* code 0: a plain end. It is nobody's from now on. */
void sock_close(sock *s, int32_t code, const char *why);
void sock_flow(sock *s);
void sock_tick(sock *s, uint64_t now_ms);

/* ---- shake.c ---- */
/* A socket that was dialled is open: say who we are. */
void shake_begin(sock *s);
/* A frame on a socket that has no link, or whose link is not open. */
void shake_frame(sock *s, const envelope *e);

/* ---- check.c ---- */
void check_asked(sock *s, const envelope *e);    /* SOCK_ASKER: its frame       */
void check_probed(sock *s, bool reached);        /* SOCK_PROBE: how it ended    */
void check_opened(sock *s);                      /* SOCK_CHECK                  */
void check_answered(sock *s, const envelope *e); /* SOCK_CHECK: a frame         */
void check_failed(sock *s);                      /* SOCK_CHECK: it has ended    */
void check_tick(links *ls, uint64_t now_ms);
void check_free(links *ls);

/* The WebSocket server of an encoded descriptor. False: it has none. */
bool peer_server(pb_bytes descriptor, char *host, size_t room, dht_method *out);

#endif
