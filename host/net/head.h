/* head -- the head of an HTTP/1.1 request or answer, strictly (RFC 9112). Pure. */
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include "base/base.h"

#include <broker/plugin.h>

#define HEAD_HEADERS_MAX 100

typedef struct head_field {
    broker_str name, value;
} head_field;

typedef struct head {
    broker_str method, target;
    int minor; /* HTTP/1.minor, 0 or 1 */
    bool keep_alive, chunked, has_length, expects_continue;
    uint64_t length;
    head_field fields[HEAD_HEADERS_MAX];
    size_t n_fields;
} head;

/* Length of the head in bytes, its empty line included; 0: not complete. */
size_t head_length(const char *bytes, size_t len);
/* Parse a complete head. 0, or the status to answer with; *why says what is wrong. Strings
 * point into bytes. */
unsigned head_parse(const char *bytes, size_t len, head *out, const char **why);
/* The same of an answer: its status goes to *status, method and target stay empty. NULL, or
 * what is wrong. */
const char *head_parse_answer(const char *bytes, size_t len, head *out, unsigned *status);
broker_str head_get(const head *h, const char *name);
/* Whether a header that is a comma-separated list has the word, in whatever case. */
bool head_has(const head *h, const char *name, const char *word);
const char *status_text(unsigned status);

#endif
