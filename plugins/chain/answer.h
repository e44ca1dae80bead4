/* answer -- JSON-RPC as text: requests are written, answers are read. [any]
 *
 * What an endpoint answers is one of three things: a result, the contract's refusal (which is an
 * answer too), or a failure of the endpoint's own. */
#ifndef CHAIN_ANSWER_H
#define CHAIN_ANSWER_H

#include "base/base.h"

typedef enum answer_kind {
    ANSWER_RESULT,
    ANSWER_REVERTED, /* the contract refused: execution reverted */
    ANSWER_BUSY,     /* the endpoint wants fewer requests */
    ANSWER_ERROR,
} answer_kind;

typedef struct answer {
    answer_kind kind;
    uint64_t id;
    /* RESULT: its JSON, written in one way so that equal results are equal texts; of errors: the
     * endpoint's words, cut. Borrowed until the call ends. */
    const char *text;
} answer;

/* {"jsonrpc":"2.0","id":..,"method":..,"params":..}; params is JSON. */
void answer_put_request(sb *out, uint64_t id, const char *method, const char *params);

/* Each answer in a body, one or a list. False: it is not that; the ones before were given. An
 * error without an id (the whole request was refused) is given with *id 0. */
bool answer_read(const void *body, size_t len, void (*each)(void *arg, const answer *a), void *arg);

/* Bytes out of a result: a JSON string "0x...". */
bool answer_bytes(const char *text, sb *out);
/* A quantity, "0x1f". */
bool answer_number(const char *text, uint64_t *out);

#endif
