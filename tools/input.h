/* input -- a file or standard input, as bytes or as lines of bounded length.
 * One thread. */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include "base/base.h"

#define INPUT_LINE_MAX (4u << 20) /* a v32 message of 1 MiB in hex, and its envelope */

typedef struct input {
    int fd;
    const char *name;
    sb buf;
    size_t at;      /* what lies before it has been taken */
    uint64_t size;  /* of a file; 0: not known            */
    uint64_t taken; /* bytes                              */
    uint64_t lines; /* number of the last line            */
    bool ended;     /* nothing more to read               */
    bool skipping;  /* inside a line that is too long     */
} input;

typedef enum input_result {
    INPUT_LINE,
    INPUT_TOO_LONG, /* a line longer than INPUT_LINE_MAX was left out */
    INPUT_END,
    INPUT_FAILED, /* said on standard error */
} input_result;

/* "-" is standard input. False: said on standard error. */
bool input_open(input *in, const char *name);
void input_close(input *in);
/* The next byte without taking it; -1: none, or it cannot be read. */
int input_peek(input *in);
/* Up to len bytes. 0: the end; -1: said on standard error. */
int64_t input_bytes(input *in, uint8_t *to, size_t len);
/* The next line without its end, valid until the next call. */
input_result input_line(input *in, const char **text, size_t *len);
/* Whether something is there to read without waiting. */
bool input_ready(const input *in);

#endif
