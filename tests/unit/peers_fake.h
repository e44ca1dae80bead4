/* peers_fake -- rpc/peers.h without sockets: several nodes in one process, joined by queues, on a
 * clock that the test turns. Frames are real ones, encoded and read as on the wire. */
#ifndef TESTS_PEERS_FAKE_H
#define TESTS_PEERS_FAKE_H

#include "rpc/peers.h"

typedef struct fake_net fake_net;

fake_net *fake_net_new(void);
void fake_net_free(fake_net *n); /* when nobody uses the nodes any more */
int64_t fake_now_ms(const fake_net *n);

/* A node whose id is that character twenty times. Without a server it can be reached only by those
 * who have one. */
peers *fake_node(fake_net *n, char id, bool has_server);
/* Let time go on. */
void fake_run(fake_net *n, int64_t ms);
/* Until holds(), at most so long; whether it did. */
bool fake_until(fake_net *n, int64_t ms, bool (*holds)(void *arg), void *arg);

/* Called with every frame that is about to travel; e is NULL when it cannot be read. False: it is
 * lost. *delay_ms is 5 and may be changed; frames never overtake each other on a connection. */
typedef bool (*fake_weather)(void *arg, const peers *from, const peers *to, const envelope *e,
                             int64_t *delay_ms);
void fake_set_weather(fake_net *n, fake_weather weather, void *arg);

void fake_connect(peers *a, peers *b);
void fake_cut(peers *a, peers *b, peers_loss how);
/* Nobody reaches it any more; its connections end. */
void fake_set_down(peers *p, bool down);
/* What `from` has queued for `to` is too much to take more. */
void fake_set_full(peers *from, const peers *to, bool full);
void fake_set_private(peers *p, const peers *other, bool is_private);
/* Locks that are held on connections, all in all. */
unsigned fake_locks(const peers *p);
/* Buffers that somebody still keeps. */
size_t fake_buffers(const fake_net *n);
/* Any frame at all; source and target are filled in. */
void fake_send(peers *from, peers *to, const envelope *e);

#endif
