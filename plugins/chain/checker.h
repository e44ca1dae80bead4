/* checker -- "broker.verify/1": whether messages may come in, by what the chain says. [loop]
 *
 * MAY_PUBLISH: the publisher's permission for the stream, and that the stream has the partition.
 * ERC_1271: the publisher is a contract that takes the signature. Verdicts about the messages of
 * one publisher in one stream leave in the order in which they were asked for. */
#ifndef CHAIN_CHECKER_H
#define CHAIN_CHECKER_H

#include "views.h"

typedef struct checker checker;

checker *checker_new(const rpc_services *s, views *v, rpc *r, const broker_verify *verify);
broker_rc checker_offer(checker *c);
size_t checker_open(const checker *c); /* checks without an answer */
void checker_free(checker *c);         /* accepts NULL; what is open is never answered */

#endif
