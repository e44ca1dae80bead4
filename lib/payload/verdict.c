/* verdict -- see verdict.h. */
#include "payload/verdict.h"

verdict verdict_of(const broker_outcome *outcome)
{
    switch (outcome->code) {
    case BROKER_STORED:
        return VERDICT_STORED;
    case BROKER_NO_STORE:
        return VERDICT_DELIVERED;
    case BROKER_DUPLICATE:
    case BROKER_VARIANT: /* what we signed is there, in another encoding */
        return VERDICT_THERE;
    case BROKER_EQUIVOCATION:
    case BROKER_REJECTED:
    case BROKER_UNVERIFIABLE:
    case BROKER_DENIED:
        return VERDICT_REFUSED;
    default:
        return VERDICT_FAILED;
    }
}

const char *verdict_why(const broker_outcome *outcome)
{
    if (outcome->reason != NULL)
        return outcome->reason;
    return verdict_of(outcome) == VERDICT_REFUSED ? "the message was refused"
                                                  : "the message could not be stored";
}

const char *verdict_of_publish(broker_rc rc)
{
    switch (rc) {
    case BROKER_EDENIED:
        return "this node has no key to sign with; set client.auth.privateKeyFile";
    case BROKER_EINVAL:
        return "the content and its envelope are larger than a message may be (1 MiB)";
    default:
        return "the message cannot be published now";
    }
}
