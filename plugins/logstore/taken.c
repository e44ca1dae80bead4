/* taken -- see taken.h. */
#include "taken.h"

#include "eth/eth.h"

static void part_leave(taken *t, assigned_part *part)
{
    if (!part->taken)
        return;
    if (part->sub != NULL)
        ingest_leave(part->sub);
    *part = (assigned_part){.taken = false};
    t->n--;
}

static void part_take(taken *t, assigned *s, uint32_t partition)
{
    assigned_part *part = &s->parts[partition];

    if (part->taken || !cluster_owns(&t->l->cluster, assigned_id(s), partition))
        return;
    if (t->n == TAKEN_PARTS_MAX) {
        t->full = true;
        return;
    }
    if (!logstore_tracks(t->l, assigned_id(s), partition)) {
        part->sub = ingest_take(t->l->ingest, assigned_id(s), partition);
        if (part->sub == NULL)
            return;
    }
    part->taken = true;
    part->told = s->told;
    part->since_ms = t->l->work->now_ms(t->l->ctx);
    t->n++;
}

void taken_set(taken *t, assigned *s, uint32_t n)
{
    for (uint32_t p = n; p < s->n_parts; p++)
        part_leave(t, &s->parts[p]);
    s->parts = must_realloc(s->parts, (n + 1) * sizeof *s->parts);
    for (uint32_t p = s->n_parts; p < n; p++)
        s->parts[p] = (assigned_part){.taken = false};
    s->n_parts = n;
    for (uint32_t p = 0; p < n; p++)
        part_take(t, s, p);
}

uint32_t taken_count(const assigned *s)
{
    uint32_t n = 0;

    for (uint32_t p = 0; p < s->n_parts; p++)
        n += s->parts[p].taken;
    return n;
}

bool taken_are_told(const assigned *s)
{
    for (uint32_t p = 0; p < s->n_parts; p++)
        if (s->parts[p].taken && !s->parts[p].told)
            return false;
    return true;
}

typedef struct list {
    sb body;
    bool any;
} list;

static void list_put(void *arg, assigned *s)
{
    list *l = arg;
    const char *comma = "";

    if (!s->stored)
        return;
    sb_puts(&l->body, l->any ? ",{\"id\":" : "{\"id\":");
    l->any = true;
    sb_json_string(&l->body, s->stream, s->len);
    sb_printf(&l->body, ",\"partitions\":%u,\"taken\":[", s->partitions);
    for (uint32_t p = 0; p < s->n_parts; p++)
        if (s->parts[p].taken) {
            sb_printf(&l->body, "%s%u", comma, p);
            comma = ",";
        }
    sb_printf(&l->body, "],\"announced\":%s}", taken_are_told(s) ? "true" : "false");
}

void taken_reply(const taken *t, assigned_set *set, broker_req *req)
{
    const cluster *c = &t->l->cluster;
    list l = {.body = SB_INIT};
    char address[43];

    eth_address_text(c->address, address);
    sb_printf(&l.body,
              "{\"clusterAddress\":\"%s\",\"clusterSize\":%u,\"myIndexInCluster\":%u,\"streams\":[",
              address, c->size, c->index);
    assigned_each(set, list_put, &l);
    sb_puts(&l.body, "]}");
    reply_json(t->l, req, 200, &l.body);
    sb_done(&l.body);
}
