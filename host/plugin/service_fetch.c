/* service_fetch -- "broker.fetch/1": host/fetch, in the name of a build. */
#include "plugin/build.h"

static broker_rc start(broker_ctx *ctx, const broker_fetch_request *what, broker_fetch_job **out)
{
    build *b = build_of(ctx);
    sb why = SB_INIT;
    broker_rc rc = fetch_start(b->parts->fetcher, &b->ledger, what, out, &why);

    if (rc != BROKER_OK)
        ctx->host->fail(ctx, rc, why.data);
    sb_done(&why);
    return rc;
}

const broker_fetch service_fetch = {sizeof service_fetch, 0, start, fetch_cancel, fetch_header};
