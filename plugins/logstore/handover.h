/* handover -- what one build tells the next of a running answer or upload. Pure, [any].
 *
 * Everything else of them is in the request, which the next build is given too. Version 1. */
#ifndef LOGSTORE_HANDOVER_H
#define LOGSTORE_HANDOVER_H

#include "base/base.h"

/* How far an answer is. */
typedef struct answer_progress {
    bool began, ending, has_next;
    bool inclusive; /* the message at key was not told yet */
    uint64_t told;
    int64_t timestamp_ms; /* of the message last read */
    int32_t sequence;
    sb key; /* where the cursor stands, as in keys.h; empty: nowhere yet */
} answer_progress;

/* How far an upload is. */
typedef struct upload_progress {
    uint64_t index, stored, duplicates, rejected;
    sb rejections; /* as told to the client */
    sb partial;    /* of the frame that is not complete: its length and first bytes */
    sb lines;      /* of its answer, not told yet */
} upload_progress;

void answer_progress_write(const answer_progress *p, sb *out);
/* False: of another version, or damaged. */
bool answer_progress_read(const void *bytes, size_t len, answer_progress *out);
void answer_progress_done(answer_progress *p);

void upload_progress_write(const upload_progress *p, sb *out);
bool upload_progress_read(const void *bytes, size_t len, upload_progress *out);
void upload_progress_done(upload_progress *p);

#endif
