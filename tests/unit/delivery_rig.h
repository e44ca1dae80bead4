/* delivery_rig -- nodes with stream parts on a network without sockets, and messages for them. */
#ifndef TESTS_DELIVERY_RIG_H
#define TESTS_DELIVERY_RIG_H

#include "delivery/delivery.h"
#include "peers_fake.h"

#define PART    "0x1111111111111111111111111111111111111111/room#3"
#define STREAM  "0x1111111111111111111111111111111111111111/room"
#define SERVICE DELIVERY_SERVICE PART
#define MOST    24u

typedef struct node {
    peers *p;
    delivery *d;
    struct rig *rig;
    unsigned n_got, n_unsent;
    int64_t got[2000]; /* timestamps of messages, in order */
    struct broker_buf *kept;
    pb_bytes kept_bytes;
    bool leave_at_message;
} node;

/* A place where nodes are listed, as the network's entry points keep one. */
typedef struct rig {
    fake_net *net;
    node nodes[MOST];
    unsigned n;
    peers *listed[MOST];
    unsigned n_listed, n_finds, n_announced;
    int64_t find_ms[64];
    bool is_source_down;
    uint32_t find_takes_ms; /* 0: 20 */
    peers *timer_of;
} rig;

/* ---- Nodes ---- */

rig *rig_new(void);
void rig_free(rig *r);
void list(rig *r, peers *p);
node *add_with(rig *r, char id, bool has_server, bool has_source,
               const delivery_settings *settings);
node *add(rig *r, char id);
node *add_lonely(rig *r, char id); /* knows no place where nodes are listed */
node *add_proxy(rig *r, char id);  /* accepts proxy clients */
void join(node *n);

/* ---- Messages ---- */

pb_bytes part_name(void);
/* Of a chain; previous 0: names none. */
sb message_of(const char *chain, int64_t time, int64_t previous, uint32_t partition);
sb message(int64_t time);
/* A key request for that user. */
sb key_request(int64_t time, pb_bytes recipient);
extern const char *refused_because;
delivery_fate publish_bytes(node *n, sb bytes);
delivery_fate publish(node *n, int64_t time);
/* From a peer that is no node of ours. */
void tell_bytes(peers *from, peers *to, sb bytes);

/* ---- Asking as a stranger ---- */

typedef struct answer {
    bool came;
    peers_result result;
    int32_t error;
    union {
        network_handshake_response handshake;
        network_neighbor_update update;
        network_accepted accepted;
    };
    const pb_table *table; /* what is expected */
    _Alignas(16) uint8_t memory[32768];
    uint8_t body[8192];
} answer;

/* Sends a request of the part and lets time go on until it is answered. */
void ask(rig *r, peers *from, peers *to, const char *method, const pb_table *table, const void *msg,
         const pb_table *expected, answer *out);

/* ---- Looking ---- */

typedef struct looked {
    delivery_part_info info;
    delivery_neighbor neighbors[16];
    bool found;
} looked;

looked look(const node *n);
size_t neighbors_of(const node *n);
bool has_neighbor(const node *n, const peers *other);
const delivery_counters *count(const node *n);

#endif
