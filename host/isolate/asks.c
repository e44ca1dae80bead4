/* asks -- what the process of a plugin asks and waits for: registrations, keys, signatures,
 * metrics. [loop] */
#include "isolate/parts.h"

#include "pack/pack.h"

#include <math.h>

#define BOUNDS_MAX 64u

/* A metric the process has asked for. */
typedef struct gauge {
    uint8_t kind;
    broker_metric *metric;
} gauge;

/* Text that may stand in an exposition of metrics. */
static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static broker_rc metric_make(standin *s, uint64_t kind, const char *name, const char *labels,
                             const char *help, const double *bounds, size_t n, broker_metric **out)
{
    switch (kind) {
    case METRIC_COUNTER:
        return s->metrics->counter(s->ctx, name, labels, help, out);
    case METRIC_GAUGE:
        return s->metrics->gauge(s->ctx, name, labels, help, out);
    default:
        return s->metrics->histogram(s->ctx, name, labels, help, bounds, n, out);
    }
}

/* As u64 bits. */
static bool bounds_read(const unpacked_map *m, double *bounds, size_t *n)
{
    size_t len = 0;
    const char *bytes = unpack_bytes(m, "bounds", &len);

    *n = bytes != NULL ? len / 8 : 0;
    if (*n > BOUNDS_MAX || (bytes != NULL && len % 8 != 0))
        return false;
    for (size_t i = 0; i < *n; i++) {
        uint64_t bits = get_u64be((const uint8_t *)bytes + 8 * i);

        memcpy(&bounds[i], &bits, sizeof bits);
        if (!isfinite(bounds[i]))
            return false;
    }
    return true;
}

static fault ask_metric(standin *s, broker_bytes body, words_result *r, sb *text)
{
    char *name = NULL, *labels = NULL, *help = NULL;
    double bounds[BOUNDS_MAX];
    broker_metric *metric;
    fault wrong = NULL;
    const unpacked_map *m;
    uint64_t id, kind;
    unpacked *u;
    size_t n;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "a metric is no map";
    m = unpacked_root(u);
    id = unpack_uint(m, "id", 0);
    kind = unpack_uint(m, "kind", METRIC_HISTOGRAM + 1);
    name = unpack_text(m, "name");
    labels = unpack_text(m, "labels");
    help = unpack_text(m, "help");
    if (id == 0 || id >= IDS_MAX || ids_get(&s->metric_ids, (uint32_t)id) != NULL)
        wrong = "a metric has no id of its own";
    else if (kind != METRIC_COUNTER && kind != METRIC_GAUGE && kind != METRIC_HISTOGRAM)
        wrong = "there is no such kind of metric";
    else if (name == NULL || !is_plain(labels) || !is_plain(help) || !bounds_read(m, bounds, &n))
        wrong = "a metric has a name, labels, a help or bounds that it may not have";
    if (wrong == NULL)
        r->rc = metric_make(s, kind, name, labels, help != NULL ? help : "", bounds, n, &metric);
    if (wrong == NULL && r->rc == BROKER_OK) {
        gauge *g = must_alloc(sizeof *g);

        *g = (gauge){(uint8_t)kind, metric};
        ids_set(&s->metric_ids, (uint32_t)id, g);
    } else if (wrong == NULL) {
        sb_puts(text, "a metric's name is not valid or is taken by another kind");
        r->bytes = sb_bytes(text);
    }
    free(name);
    free(labels);
    free(help);
    unpacked_free(u);
    return wrong;
}

fault asks_metric(standin *s, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    const gauge *g;
    uint64_t bits;
    double value;
    uint32_t id;
    uint8_t what;

    if (!view_u32be(&v, &id) || !view_u8(&v, &what) || !view_u64be(&v, &bits) || view_left(&v) != 0)
        return "it is not as long as it must be";
    g = ids_get(&s->metric_ids, id);
    if (g == NULL)
        return "there is no such metric";
    memcpy(&value, &bits, sizeof value);
    if (what == g->kind && (what == METRIC_COUNTER || what == METRIC_GAUGE)) {
        if (what == METRIC_COUNTER && (int64_t)bits < 0)
            return "a counter goes down";
        s->metrics->add(g->metric, (int64_t)bits);
    } else if (what == METRIC_GAUGE_SET && g->kind == METRIC_GAUGE) {
        s->metrics->set(g->metric, value);
    } else if (what == METRIC_HISTOGRAM && g->kind == METRIC_HISTOGRAM) {
        s->metrics->observe(g->metric, value);
    } else {
        return "a metric is of another kind";
    }
    return NULL;
}

/* What a gauge told is of a process that has ended. */
void asks_lost(standin *s)
{
    for (uint32_t i = 0; i < s->metric_ids.n; i++) {
        const gauge *g = s->metric_ids.items[i];

        if (g != NULL && g->kind == METRIC_GAUGE)
            s->metrics->set(g->metric, 0);
    }
}

void asks_forget(standin *s)
{
    for (uint32_t i = 0; i < s->metric_ids.n; i++)
        free(s->metric_ids.items[i]);
    ids_done(&s->metric_ids);
}

/* ---- keys ---- */

static const char no_key[] = "this node has no key; set client.auth.privateKeyFile";

static void put_signed(words_result *r, broker_rc rc, const uint8_t *bytes, size_t len, sb *text)
{
    r->rc = rc;
    if (rc == BROKER_OK)
        sb_append(text, bytes, len);
    else
        sb_puts(text, no_key);
    r->bytes = sb_bytes(text);
}

static fault ask_sign(standin *s, broker_bytes body, words_result *r, sb *text)
{
    uint8_t out[65];
    broker_rc rc;

    if (body.len == 0)
        return "it is not as long as it must be";
    body.ptr++;
    body.len--;
    switch (body.ptr[-1]) {
    case SIGN_MESSAGE:
        rc = s->sign->message(s->ctx, body, out);
        break;
    case SIGN_TYPED:
        if (body.len != 64)
            return "it is not as long as it must be";
        rc = s->sign->typed(s->ctx, body.ptr, body.ptr + 32, out);
        break;
    case SIGN_DIGEST:
        if (body.len != 32)
            return "it is not as long as it must be";
        rc = s->sign->digest(s->ctx, body.ptr, out);
        break;
    default:
        return "there is no such signature";
    }
    put_signed(r, rc, out, sizeof out, text);
    return NULL;
}

fault asks_answer(standin *s, uint8_t word, broker_bytes body, words_result *r, sb *text)
{
    broker_str name = {(const char *)body.ptr, body.len};
    uint8_t bytes[20];
    broker_rc rc;

    switch (word) {
    case ASK_ROUTE:
        return requests_route(s, body, r, text);
    case ASK_SUBSCRIBE:
        return messages_subscribe(s, body, r, text);
    case ASK_PARTITIONS:
        put_u32be(bytes, s->bus->partitions(s->ctx, name));
        sb_append(text, bytes, 4);
        r->bytes = sb_bytes(text);
        return NULL;
    case ASK_KEY:
        r->rc = s->access->check(s->ctx, name);
        return NULL;
    case ASK_ADDRESS:
        rc = s->sign->address(s->ctx, bytes);
        put_signed(r, rc, bytes, sizeof bytes, text);
        return NULL;
    case ASK_SIGN:
        return ask_sign(s, body, r, text);
    case ASK_METRIC:
        return ask_metric(s, body, r, text);
    default:
        return "there is no such question";
    }
}
