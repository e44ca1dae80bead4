/* line -- a message as one line of JSON. */
#ifndef TOOLS_LINE_H
#define TOOLS_LINE_H

#include "base/base.h"

#include <broker/plugin.h>

/* Append the message as the node's `object` format has it, and a newline.
 * Content that is JSON stays as it is, but for line breaks, which become
 * spaces. */
void line_append(const broker_msg *m, sb *out);

#endif
