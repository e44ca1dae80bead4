/* service_http -- "broker.http/1": host/http, in the name of a build. */
#include "plugin/build.h"

static broker_rc route(broker_ctx *ctx, const broker_route *r)
{
    build *b = build_of(ctx);
    const char *why;

    if (b->parts->http == NULL) /* closed before the plugins stop */
        return ctx->host->fail(ctx, BROKER_EGONE, "the node is stopping");
    why = http_route(b->parts->http, &b->ledger, r);
    return why == NULL ? BROKER_OK : ctx->host->fail(ctx, BROKER_EBUSY, why);
}

const broker_http service_http = {
    sizeof service_http, 0,           route,       http_method, http_target,  http_param,
    http_query,          http_header, http_user,   http_peer,   http_receive, http_pause,
    http_resume,         http_reply,  http_stream, http_wake,
};
