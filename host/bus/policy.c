/* policy -- see policy.h. */
#include "bus/policy.h"

#include "streamr/streamr.h"

const char *const refusal_names[REFUSAL_KINDS] = {
    "none",   "malformed", "oversized", "misplaced",
    "future", "publisher", "signature", "unverifiable",
};

int32_t refusal_outcome(refusal kind)
{
    if (kind == REFUSAL_PUBLISHER)
        return BROKER_DENIED;
    return kind == REFUSAL_UNVERIFIABLE ? BROKER_UNVERIFIABLE : BROKER_REJECTED;
}

const char *policy_decode(broker_bytes raw, broker_msg *m, refusal *kind)
{
    const char *why;

    if (raw.len > STREAMR_MESSAGE_MAX) {
        *kind = REFUSAL_OVERSIZED;
        return "larger than 1 MiB";
    }
    why = streamr_decode(raw.ptr, raw.len, m);
    if (why != NULL)
        *kind = REFUSAL_MALFORMED;
    return why;
}

static bool address_is(const broker_msg *m, const uint8_t address[20])
{
    return m->publisher.len == 20 && memcmp(m->publisher.ptr, address, 20) == 0;
}

static const char *publisher_check(const policy *p, const broker_msg *m)
{
    uint8_t owner[20];

    switch (p->publish) {
    case PUBLISH_OPEN:
    case PUBLISH_CHAIN: /* a plugin is asked, later */
        return NULL;
    case PUBLISH_OWNER:
        if (!streamr_stream_owner(m->stream.ptr, m->stream.len, owner))
            return "the stream id names no address, so its owner is not known "
                   "(validation.publish is 'owner')";
        return address_is(m, owner) ? NULL
                                    : "the publisher is not the stream's owner "
                                      "(validation.publish is 'owner')";
    case PUBLISH_ALLOW:
        for (size_t i = 0; i < p->n_allow; i++)
            if (address_is(m, p->allow[i]))
                return NULL;
        return "the publisher is not in validation.allow";
    }
    return "no such policy";
}

const char *policy_check(const policy *p, const broker_msg *m, int64_t now_ms, refusal *kind)
{
    const char *why;

    if (m->timestamp_ms - now_ms > p->max_future_skew_ms) {
        *kind = REFUSAL_FUTURE;
        return "the timestamp is too far in the future (validation.maxFutureSkewMs)";
    }
    why = publisher_check(p, m);
    if (why != NULL)
        *kind = REFUSAL_PUBLISHER;
    return why;
}

const char *policy_verify(const policy *p, broker_msg *m, refusal *kind)
{
    const char *why = NULL;

    switch (streamr_verify(m, &why)) {
    case STREAMR_VALID:
        m->flags |= BROKER_MSG_VERIFIED;
        return NULL;
    case STREAMR_UNVERIFIABLE:
        if (p->accept_unverifiable) {
            m->flags |= BROKER_MSG_UNVERIFIABLE;
            return NULL;
        }
        *kind = REFUSAL_UNVERIFIABLE;
        return why;
    case STREAMR_INVALID:
        break;
    }
    *kind = REFUSAL_SIGNATURE;
    return why;
}
