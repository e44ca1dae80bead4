/* policy -- which messages may come in: structure, clock, publisher, signature.
 *
 * Pure apart from the clock that is passed in. [any] */
#ifndef BUS_POLICY_H
#define BUS_POLICY_H

#include "base/base.h"

#include <broker/plugin.h>

typedef enum publish_policy {
    PUBLISH_OPEN,  /* whoever signs                                  */
    PUBLISH_OWNER, /* the address in the stream id                   */
    PUBLISH_ALLOW, /* a list of addresses                            */
    PUBLISH_CHAIN, /* whom the stream's registry lets; asked by the bus */
} publish_policy;

typedef struct policy {
    publish_policy publish;
    uint8_t (*allow)[20]; /* PUBLISH_ALLOW; owned by whoever made the policy */
    size_t n_allow;
    int64_t max_future_skew_ms;
    bool accept_unverifiable;
} policy;

/* Why a message was turned away, for the metric. */
typedef enum refusal {
    REFUSAL_NONE,
    REFUSAL_MALFORMED,
    REFUSAL_OVERSIZED,
    REFUSAL_MISPLACED, /* another stream or partition than the upload is for */
    REFUSAL_FUTURE,
    REFUSAL_PUBLISHER,
    REFUSAL_SIGNATURE,
    REFUSAL_UNVERIFIABLE,
    REFUSAL_KINDS
} refusal;
extern const char *const refusal_names[REFUSAL_KINDS];
int32_t refusal_outcome(refusal kind); /* BROKER_REJECTED and its kin */

/* Decode raw into *m. NULL, or why it is no message. */
const char *policy_decode(broker_bytes raw, broker_msg *m, refusal *kind);
/* Clock and publisher. NULL, or why not. */
const char *policy_check(const policy *p, const broker_msg *m, int64_t now_ms, refusal *kind);
/* Signature; sets BROKER_MSG_VERIFIED or, when the policy lets it in,
 * BROKER_MSG_UNVERIFIABLE. NULL, or why not. */
const char *policy_verify(const policy *p, broker_msg *m, refusal *kind);

#endif
