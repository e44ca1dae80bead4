/* gauges -- the plugin's metrics: what the layers below have counted, looked at once a second. */
#include "streamr.h"

#include <stdlib.h>

#define EVERY_MS 1000u

static const struct {
    links_count which;
    const char *name, *labels, *help;
} of_links[] = {
#define FRAMES "Frames from and to other nodes"
#define BYTES  "Bytes of frames from and to other nodes"
    {LINKS_COUNT_OPENED, "connections_opened_total", NULL, "Connections made with other nodes"},
    {LINKS_COUNT_FAILED, "connections_failed_total", NULL, "Connections that could not be made"},
    {LINKS_COUNT_LOST, "connections_ended_total", NULL, "Connections that were open and ended"},
    {LINKS_COUNT_REFUSED, "connections_refused_total", NULL,
     "Connections refused: too many, or a wrong handshake"},
    {LINKS_COUNT_REPLACED, "connections_replaced_total", NULL,
     "Second connections to one node that took the place of the first"},
    {LINKS_COUNT_SWEPT, "connections_swept_total", NULL,
     "Idle connections closed because there were too many"},
    {LINKS_COUNT_FRAMES_IN, "frames_total", "direction=\"in\"", FRAMES},
    {LINKS_COUNT_FRAMES_OUT, "frames_total", "direction=\"out\"", FRAMES},
    {LINKS_COUNT_BYTES_IN, "bytes_total", "direction=\"in\"", BYTES},
    {LINKS_COUNT_BYTES_OUT, "bytes_total", "direction=\"out\"", BYTES},
    {LINKS_COUNT_FULL, "frames_unsent_total", NULL,
     "Frames not sent because the node does not read what it was sent before"},
    {LINKS_COUNT_THROTTLED, "throttled_total", NULL,
     "Times a node was not read for a moment because it sends too much"},
};

static const struct {
    rpc_count which;
    const char *name, *labels, *help;
} of_rpc[] = {
#define IGNORED "Frames that changed nothing"
    {RPC_COUNT_MALFORMED, "frames_ignored_total", "reason=\"malformed\"", IGNORED},
    {RPC_COUNT_DUPLICATE, "frames_ignored_total", "reason=\"duplicate\"", IGNORED},
    {RPC_COUNT_UNSERVED, "frames_ignored_total", "reason=\"no_service\"", IGNORED},
    {RPC_COUNT_OVERLOAD, "frames_ignored_total", "reason=\"overload\"", IGNORED},
    {RPC_COUNT_REQUESTS, "requests_served_total", NULL, "Requests of other nodes"},
    {RPC_COUNT_SLOW, "requests_slow_total", NULL, "Requests of other nodes answered too late"},
    {RPC_COUNT_ASKED, "requests_sent_total", NULL, "Requests sent to other nodes"},
    {RPC_COUNT_TIMEOUTS, "requests_timed_out_total", NULL,
     "Requests that other nodes did not answer in time"},
    {RPC_COUNT_DROPPED, "stream_messages_unsent_total", NULL,
     "Stream messages a neighbour did not get because it does not read"},
};

static const struct {
    size_t at; /* in carrier_counts */
    const char *name, *labels, *help;
} of_parts[] = {
#define AT(member) offsetof(carrier_counts, member)
#define CAME       "Stream messages from other nodes, by what became of them here"
    {AT(delivery.accepted), "messages_in_total", "result=\"new\"", CAME},
    {AT(delivery.duplicates), "messages_in_total", "result=\"duplicate\"", CAME},
    {AT(delivery.invalid_chain), "messages_in_total", "result=\"invalid_chain\"", CAME},
    {AT(delivery.malformed), "messages_in_total", "result=\"malformed\"", CAME},
    {AT(intake.dropped), "messages_in_total", "result=\"dropped\"", CAME},
    {AT(intake.waited), "bus_full_total", NULL,
     "Times nothing was read from other nodes because the bus was full"},
    {AT(delivery.sent), "messages_out_total", NULL, "Copies of stream messages given to nodes"},
    {AT(delivery.published), "published_total", NULL, "Messages of this node"},
    {AT(delivery.unsent), "unsent_total", NULL, "Messages of this node that reached nobody"},
    {AT(refused), "refused_total", NULL,
     "Messages of this node that were not carried away, the log says why"},
    {AT(delivery.neighbors_lost), "neighbors_lost_total", NULL, "Neighbours that went"},
    {AT(delivery.missing), "messages_missing_total", NULL,
     "Holes in chains of messages that stayed open for a minute"},
};

struct gauges {
    broker_metric *parts[COUNT_OF(of_parts)], *n_parts;
    uint64_t parts_told[COUNT_OF(of_parts)];
    carrier_counts counts;
    broker_metric *links[COUNT_OF(of_links)], *rpc[COUNT_OF(of_rpc)], *open;
    uint64_t links_told[COUNT_OF(of_links)], rpc_told[COUNT_OF(of_rpc)];
    broker_timer *timer;
};

static void tell(streamr *s, broker_metric *m, uint64_t now, uint64_t *told)
{
    if (now != *told)
        s->metrics->add(m, (int64_t)(now - *told));
    *told = now;
}

static void on_time(void *arg)
{
    streamr *s = arg;
    gauges *g = s->gauges;

    for (size_t i = 0; i < COUNT_OF(of_links); i++)
        tell(s, g->links[i], links_counted(peers_links(s->peers), of_links[i].which),
             &g->links_told[i]);
    for (size_t i = 0; i < COUNT_OF(of_rpc); i++)
        tell(s, g->rpc[i], peers_counted(s->peers, of_rpc[i].which), &g->rpc_told[i]);
    carrier_counted(s, &g->counts);
    for (size_t i = 0; i < COUNT_OF(of_parts); i++) {
        uint64_t now;

        memcpy(&now, (const char *)&g->counts + of_parts[i].at, sizeof now);
        tell(s, g->parts[i], now, &g->parts_told[i]);
    }
    s->metrics->set(g->n_parts, (double)g->counts.parts);
    s->metrics->set(g->open, links_open(peers_links(s->peers)));
}

broker_rc gauges_start(streamr *s)
{
    gauges *g = s->gauges = must_alloc(sizeof *g);
    broker_rc rc = s->metrics->gauge(s->ctx, "connections", NULL, "Open connections", &g->open);

    for (size_t i = 0; i < COUNT_OF(of_links) && rc == BROKER_OK; i++)
        rc = s->metrics->counter(s->ctx, of_links[i].name, of_links[i].labels, of_links[i].help,
                                 &g->links[i]);
    for (size_t i = 0; i < COUNT_OF(of_rpc) && rc == BROKER_OK; i++)
        rc = s->metrics->counter(s->ctx, of_rpc[i].name, of_rpc[i].labels, of_rpc[i].help,
                                 &g->rpc[i]);
    for (size_t i = 0; i < COUNT_OF(of_parts) && rc == BROKER_OK; i++)
        rc = s->metrics->counter(s->ctx, of_parts[i].name, of_parts[i].labels, of_parts[i].help,
                                 &g->parts[i]);
    if (rc == BROKER_OK)
        rc = s->metrics->gauge(s->ctx, "stream_parts", NULL, "Stream parts this node is in",
                               &g->n_parts);
    if (rc == BROKER_OK)
        rc = s->work->timer(s->ctx, EVERY_MS, EVERY_MS, on_time, s, &g->timer);
    return rc;
}

void gauges_end(streamr *s)
{
    gauges *g = s->gauges;

    if (g == NULL)
        return;
    if (g->timer != NULL) {
        on_time(s); /* the last second counts too */
        s->work->timer_stop(g->timer);
    }
    s->gauges = NULL;
    free(g);
}
