/* kit -- see kit.h: the host table, calls and objects. */
#include "kit.h"

#define RULE(service, function, thread, novelty, failure)                                          \
    {#service "." #function, CALL_##thread, novelty, failure},
#define OLD   0
#define NEW   1
#define NEVER 0
const call_rule call_rules[CALL_KINDS] = {CALLS(RULE)};

const kit_service kit_services[] = {
    {BROKER_ID_broker_config, &kit_config},
    {BROKER_ID_broker_bus, &kit_bus},
    {BROKER_ID_broker_transport, &kit_transport},
    {BROKER_ID_broker_verify, &kit_verify},
    {BROKER_ID_broker_http, &kit_http},
    {BROKER_ID_broker_access, &kit_access},
    {BROKER_ID_broker_net, &kit_net},
    {BROKER_ID_broker_fetch, &kit_fetch},
    {BROKER_ID_broker_work, &kit_work},
    {BROKER_ID_broker_metrics, &kit_metrics},
    {BROKER_ID_broker_registry, &kit_registry},
    {BROKER_ID_broker_sign, &kit_sign},
    {BROKER_ID_broker_node, &kit_node},
};
const size_t kit_n_services = COUNT_OF(kit_services);

/* ---- the host table ---- */

static bool live(kit *k, const char *what)
{
    if (thread_role == ROLE_STRANGER)
        finding("%s() was called on a thread that is not the host's; plugins start no threads, "
                "work goes through work.submit()",
                what);
    if (k->phase != PHASE_GONE)
        return true;
    finding("%s() was called after destroy()", what);
    return false;
}

static void host_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    kit *k = kit_of(ctx);

    live(k, "host.log");
    if (line == NULL || level > BROKER_LOG_DEBUG)
        finding("host.log() was given %s", line == NULL ? "no line" : "a level that is not one");
    else
        fprintf(stderr, "%-5s %s: %s\n", levels[level], k->name, line);
}

static broker_rc host_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    kit *k = kit_of(ctx);

    live(k, "host.fail");
    if (why == NULL || why[0] == '\0')
        finding("host.fail() was given no reason");
    else if (rc >= 0)
        finding("host.fail() was given %d, which is no failure", rc);
    pthread_mutex_lock(&k->lock);
    free(k->why);
    k->why = must_strdup(why != NULL ? why : "");
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static const void *host_service(broker_ctx *ctx, const char *id)
{
    kit *k = kit_of(ctx);

    live(k, "host.service");
    if (k->missing != NULL && strcmp(k->missing, id) == 0)
        return NULL;
    for (size_t i = 0; i < kit_n_services; i++)
        if (strcmp(kit_services[i].id, id) == 0)
            return kit_services[i].table;
    return NULL;
}

static const broker_host host_table = {
    sizeof host_table, BROKER_ABI_MAJOR, BROKER_ABI_MINOR, host_log, host_fail, host_service,
};

/* ---- calls ---- */

bool called(kit *k, call which)
{
    const call_rule *rule = &call_rules[which];
    unsigned nth;

    if (!live(k, rule->name))
        return true;
    if (thread_role == ROLE_WORKER && rule->thread == CALL_LOOP)
        finding("%s() is for the loop and was called on a worker", rule->name);
    if (k->phase == PHASE_CREATE && rule->is_new)
        finding("create() called %s(); it may touch nothing that is shared, the build before may "
                "still be running",
                rule->name);
    if (k->phase == PHASE_QUIET && rule->is_new)
        finding("%s() was called after quiesce() had returned BROKER_OK", rule->name);
    nth = atomic_fetch_add(&k->counts[which], 1) + 1;
    if (which != k->failing || nth != k->fail_nth)
        return false;
    k->failed = true;
    return true;
}

bool call_failed(const kit *k, call which)
{
    return which == k->failing && k->counts[which] == k->fail_nth;
}

kit *called_on(const void *o, uint32_t magic, call which)
{
    const object *of = o;

    if (of == NULL || of->magic != magic) {
        finding("%s() was given %s", call_rules[which].name,
                of == NULL ? "NULL" : "something that is not of its kind");
        return NULL;
    }
    called(of->kit, which);
    return of->kit;
}

broker_rc refuse(kit *k, call which)
{
    char why[80];

    snprintf(why, sizeof why, "the kit made %s() fail", call_rules[which].name);
    pthread_mutex_lock(&k->lock);
    free(k->why);
    k->why = must_strdup(why);
    pthread_mutex_unlock(&k->lock);
    return call_rules[which].failure;
}

void object_init(kit *k, object *o, uint32_t magic, void (*free_it)(object *o))
{
    o->kit = k;
    o->magic = magic;
    o->free = free_it;
    pthread_mutex_lock(&k->lock);
    o->next = k->objects;
    k->objects = o;
    pthread_mutex_unlock(&k->lock);
}

bool size_is_said(uint32_t size, size_t at_least, const char *what)
{
    if (size >= at_least)
        return true;
    finding("%s.size is %u; set it to sizeof the struct", what, size);
    return false;
}

/* ---- life ---- */

kit *kit_new(const char *name, json_t *section)
{
    kit *k = must_alloc(sizeof *k);

    k->ctx.host = &host_table;
    k->name = name;
    k->section = section;
    must(pthread_mutex_init(&k->lock, NULL) == 0);
    return k;
}

void kit_free(kit *k)
{
    while (k->objects != NULL) {
        object *o = k->objects;

        k->objects = o->next;
        o->free(o);
    }
    pthread_mutex_destroy(&k->lock);
    free(k->why);
    free(k);
}

void kit_forget(kit *k)
{
    kit_forget_http(k);
    kit_forget_bus(k);
    kit_forget_net(k);
    kit_forget_registry(k);
    kit_forget_work(k);
    k->carrier = NULL;
}

char *kit_held(kit *k)
{
    const struct {
        int n;
        const char *what;
    } held[] = {
        {k->jobs, "jobs that have not come back"},
        {k->requests, "requests that are not ended"},
        {k->unsettled, "messages that it took and did not settle"},
        {k->messages, "messages that it retained"},
        {k->bufs, "buffers that it retained"},
        {k->admissions, "admissions or publications without done()"},
        {k->checks, "signature checks without an answer"},
        {k->fetches, "HTTP fetches"},
        {k->entered, "services of others that it has not left"},
    };
    sb out = SB_INIT;

    for (size_t i = 0; i < COUNT_OF(held); i++)
        if (held[i].n != 0)
            sb_printf(&out, "%s%s", out.len != 0 ? ", " : "", held[i].what);
    return out.data;
}
