/* verdict -- what the bus says of a publication, as clients are told it. [any]
 *
 * The bus has an outcome for each cause; a client has to know whether its message is there,
 * whether sending it again may help, and why. */
#ifndef PAYLOAD_VERDICT_H
#define PAYLOAD_VERDICT_H

#include <broker/plugin.h>

#include <stdbool.h>

typedef enum verdict {
    VERDICT_STORED,
    VERDICT_DELIVERED, /* nobody stores the stream part                 */
    VERDICT_THERE,     /* stored before, byte for byte or the same signed */
    VERDICT_REFUSED,   /* it would be refused again                     */
    VERDICT_FAILED     /* our side: sending it again may succeed        */
} verdict;

verdict verdict_of(const broker_outcome *outcome);

/* Whether the client gets an acknowledgement. */
static inline bool verdict_is_good(verdict v)
{
    return v < VERDICT_REFUSED;
}

/* Why an outcome is not good, a sentence; valid as long as the outcome. */
const char *verdict_why(const broker_outcome *outcome);

/* Why bus->publish() took nothing: neither BROKER_OK nor BROKER_AGAIN. */
const char *verdict_of_publish(broker_rc rc);

#endif
