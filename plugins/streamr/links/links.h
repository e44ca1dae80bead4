/* links -- connections to other nodes, one a node: made, accepted, judged, kept, given up.
 *
 * A peer_link is what there is to one node, by its id: it is being made (frames wait), open, or
 * ended. The socket below may be replaced by another one (offerer rule, spec 4.3) without anybody
 * noticing. Whoever is above gets whole frames and sends whole frames.
 *
 * [loop] throughout. No callback comes from inside a call of links. */
#ifndef STREAMR_LINKS_LINKS_H
#define STREAMR_LINKS_LINKS_H

#include "links/greeting.h"

#include <broker/plugin.h>

#define HOST_ROOM        256u   /* of a host's name, with its NUL */
#define LINKS_CONNECT_MS 5000u  /* the socket; then the handshake */
#define LINKS_SETUP_MS   15000u /* from the first step to an open connection */
#define LINKS_HIGH       (1024u * 1024u)
#define LINKS_STUCK_MS   30000u /* above LINKS_HIGH for so long: closed */
#define LINKS_IDLE_MS    20000u /* not used for so long: may be closed for others' sake */
#define LINKS_SWEEP_MS   5000u
#define LINKS_WAIT_MAX   (1024u * 1024u) /* bytes that wait until a link is open */
#define LINKS_WAIT_N     64u             /* and frames */
#define LINKS_LOCKS      16u             /* of one peer */
#define LINKS_LOCK_TEXT  64u             /* bytes of a lock's id; longer ones are not kept */

typedef struct links links;
typedef struct sock sock;

typedef enum link_state {
    LINK_DIALLING, /* a socket is being made */
    LINK_AWAITED,  /* the node has no server, or said that it dials: it must come to us */
    LINK_OPEN,
    LINK_ENDED, /* closed() is about to be called */
} link_state;

typedef enum link_end { LINK_LOST, LINK_LEFT, LINK_NEVER_MADE } link_end;

typedef struct peer_link {
    links *links;
    struct peer_link *next; /* in its bucket, or among the ended */
    node_id id;
    pb_bytes descriptor; /* own memory: as its handshake said, before that as we were told */
    link_state state;
    link_end end;                       /* when ended */
    sock *sock;                         /* NULL: none yet, or no more */
    uint64_t since_ms;                  /* it exists */
    uint64_t used_ms;                   /* last frame in or out */
    unsigned locks;                     /* of our own */
    unsigned n_remote_locks;            /* of the other side */
    uint64_t remote_locks[LINKS_LOCKS]; /* hashes of the ids */
    bool is_private;
    /* While it is not open: whole frames, each behind its length. */
    sb waiting;
    unsigned n_waiting;
    /* Of those above; zero at first. */
    unsigned n_served; /* requests of its that are being served */
} peer_link;

typedef enum links_count {
    LINKS_COUNT_OPENED,
    LINKS_COUNT_FAILED,   /* could not be made                  */
    LINKS_COUNT_LOST,     /* open ones                          */
    LINKS_COUNT_REFUSED,  /* sockets: limits, wrong handshake   */
    LINKS_COUNT_REPLACED, /* duplicates                         */
    LINKS_COUNT_FRAMES_IN,
    LINKS_COUNT_FRAMES_OUT,
    LINKS_COUNT_BYTES_IN,
    LINKS_COUNT_BYTES_OUT,
    LINKS_COUNT_FULL,      /* frames not sent: queue full        */
    LINKS_COUNT_THROTTLED, /* times a peer was not read for a while */
    LINKS_COUNT_SWEPT,     /* closed for others' sake            */
    LINKS_COUNTS
} links_count;

typedef struct links_options {
    node_id id;
    pb_bytes descriptor;     /* copied */
    bool serves;             /* others can dial us */
    const char *application; /* version; valid as long as links */
    uint32_t max_message;
    uint32_t max_links;       /* above it, idle ones are closed */
    uint32_t max_sockets;     /* accepted ones, at once; 0: four times max_links and 64 */
    uint32_t max_per_address; /* accepted ones, from one address */
    uint32_t frames_per_s;    /* of one peer */
} links_options;

typedef struct links_calls {
    void *arg;
    void (*opened)(void *arg, peer_link *l);
    /* A frame as it came; nothing of it has been looked at. It lies in buf. */
    void (*frame)(void *arg, peer_link *l, broker_buf *buf, pb_bytes frame);
    /* Open or not, it ends; l is freed when this returns. */
    void (*closed)(void *arg, peer_link *l);
    /* l is awaited: have it told that it shall dial us. False: there is no way. */
    bool (*summon)(void *arg, peer_link *l);
} links_calls;

links *links_new(broker_ctx *ctx, const links_options *o, const links_calls *calls);
/* Leaving for good, or ahead of a swap: all sockets are closed with the codes that say so; no
 * callbacks. */
void links_leave(links *ls);
void links_free(links *ls);

/* Listen; the options' kind, host, port and TLS files count. */
broker_rc links_listen(links *ls, const broker_net_options *where);
uint32_t links_port(const links *ls); /* 0: not listening */
/* What connections are made for from now on. */
void links_set_descriptor(links *ls, pb_bytes descriptor, bool serves);
pb_bytes links_descriptor(const links *ls);
uint64_t links_now(const links *ls);

/* ---- one node ---- */

/* Open or being made; NULL: neither. */
peer_link *links_find(const links *ls, const node_id *id);
/* The link to a node, begun if there is none. NULL: the descriptor is of no node, or ours, or
 * there are too many being made, or no way to it. */
peer_link *links_to(links *ls, pb_bytes descriptor);
/* How many ms a request over this link should be given (spec 4.6). */
uint32_t links_patience_ms(const peer_link *l);
/* BROKER_AGAIN: its queue is full, the frame was not taken. BROKER_EGONE: it has ended.
 * BROKER_EINVAL: too long. While it is being made the frame waits. */
broker_rc links_send(peer_link *l, pb_bytes frame);
/* Open ones only; keeps buf, in which the frame lies. */
broker_rc links_send_buf(peer_link *l, broker_buf *buf, pb_bytes frame);
bool links_is_full(const peer_link *l);
/* Close it; end: what closed() will find. */
void links_close(peer_link *l, link_end end);
/* Of the other side. False: it has too many. */
bool links_lock(peer_link *l, pb_bytes lock_id, bool on);
bool links_serves(const links *ls);

typedef bool (*links_visit)(void *arg, peer_link *l);           /* false: enough */
void links_each(const links *ls, links_visit visit, void *arg); /* open ones */
unsigned links_open(const links *ls);
uint64_t links_counted(const links *ls, links_count which);

/* Nothing more is read from anybody until it is taken back. */
void links_pause(links *ls, bool on);

/* Called on each tick (100 ms), for those above. */
void links_on_tick(links *ls, void (*tick)(void *arg), void *arg);

/* ---- can others reach us? (spec 4.5) ---- */

typedef struct links_reach {
    bool answered;        /* an entry point has answered */
    bool reachable;       /* and could dial us */
    char host[HOST_ROOM]; /* as which it sees us */
    bool has_ip;
    uint32_t ip;
} links_reach;
/* Ask the entry points one after another, until one answers or all have failed: done(), once,
 * not from inside. port 0: no server. host may be NULL. One at a time. */
void links_check(links *ls, const pb_bytes *entries, size_t n, uint32_t port, bool tls,
                 const char *host, void (*done)(void *arg, const links_reach *found), void *arg);

#endif
