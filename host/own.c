/* own -- see own.h. */
#include "own.h"

#include <sys/resource.h>
#include <unistd.h>

static void answer(broker_req *req, uint32_t status, const char *type, const sb *body)
{
    broker_response r = {
        .size = sizeof r,
        .status = status,
        .type = type,
        .body = {(const uint8_t *)body->data, body->len},
    };

    http_reply(req, &r);
}

static void on_metrics(void *self, broker_req *req)
{
    sb body = SB_INIT;

    (void)self;
    metrics_render(&body);
    answer(req, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    sb_done(&body);
}

static void on_healthz(void *self, broker_req *req)
{
    sb body = SB_INIT;

    (void)self;
    sb_puts(&body, "ok\n");
    answer(req, 200, "text/plain; charset=utf-8", &body);
    sb_done(&body);
}

static void on_readyz(void *self, broker_req *req)
{
    const own *o = self;
    sb body = SB_INIT;
    bool ready = !o->stopping && loader_is_ready(o->loader, &body);

    if (ready)
        sb_puts(&body, "ready\n");
    else if (o->stopping)
        sb_puts(&body, "stopping\n");
    answer(req, ready ? 200 : 503, "text/plain; charset=utf-8", &body);
    sb_done(&body);
}

/* Figures of the process, as of now. */
static void process_metrics(void *arg)
{
    metric **m = arg;
    struct rusage use;
    long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm != NULL) {
        if (fscanf(statm, "%*s %lld", &pages) == 1)
            metric_set(m[0], (double)pages * (double)sysconf(_SC_PAGESIZE));
        fclose(statm);
    }
    if (getrusage(RUSAGE_SELF, &use) == 0)
        metric_set(m[1], (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                             (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
}

static void metrics_make(own *o)
{
    o->process[0] =
        metrics_gauge("process_resident_memory_bytes", NULL, "Resident memory in bytes.");
    o->process[1] =
        metrics_gauge("process_cpu_seconds", NULL, "User and system CPU time spent, in seconds.");
    metrics_on_render(process_metrics, o->process);
    metric_set(metrics_gauge("broker_build_info", "version=\"" LOGSTORE_VERSION "\"",
                             "Always 1; the version is a label."),
               1);
}

void own_begin(own *o, http_server *http, loader *l)
{
    static const struct {
        const char *path;
        uint32_t flags;
        void (*on_req)(void *self, broker_req *req);
    } routes[] = {
        {"/metrics", 0, on_metrics},
        {"/healthz", BROKER_ROUTE_PUBLIC, on_healthz},
        {"/readyz", BROKER_ROUTE_PUBLIC, on_readyz},
    };

    o->loader = l;
    o->ledger.name = "host";
    o->ledger.build = LOGSTORE_VERSION;
    metrics_make(o);
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        broker_route r = {
            .size = sizeof r,
            .flags = routes[i].flags,
            .method = "GET",
            .path = routes[i].path,
            .self = o,
            .on_req = routes[i].on_req,
        };

        must(http_route(http, &o->ledger, &r) == NULL);
    }
}
