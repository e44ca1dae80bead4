/* summary -- what the node made of uploaded messages, over one or several
 * requests. */
#ifndef TOOLS_SUMMARY_H
#define TOOLS_SUMMARY_H

#include "base/base.h"

#define SUMMARY_REJECTED_MAX 1000u

typedef struct summary {
    uint64_t stored, duplicates, rejected, failed;
    sb rejections; /* JSON objects, at most SUMMARY_REJECTED_MAX */
    uint64_t listed;
    sb error; /* why the node stopped, or empty */
} summary;

void summary_done(summary *s);
/* Add one answer of the node about n messages; index_of[i] is what message i is
 * called here, NULL: i. False: the text is no such answer. */
bool summary_add(summary *s, const char *text, size_t len, const uint64_t *index_of, size_t n);
/* A message that was not sent at all. */
void summary_reject(summary *s, uint64_t index, const char *reason);
/* One line of JSON, in the node's form. */
void summary_text(const summary *s, sb *out);
bool summary_is_good(const summary *s);

#endif
