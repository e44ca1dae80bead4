/* member -- members of a JSON object found in its text, without a tree. [any]
 *
 * The text is valid JSON (streamr_json_valid), so the scan only tells strings and levels
 * apart; it stays inside the text even if it is not. */
#ifndef PAYLOAD_MEMBER_H
#define PAYLOAD_MEMBER_H

#include <broker/plugin.h>

#include "base/base.h"

/* The text without white space around it. */
broker_str member_trim(broker_str text);

/* The value of a member, without white space around it, as it stands in the object; of several
 * with one name the last, as JavaScript has it. Names count by what they mean, escapes or not.
 * ptr is NULL when there is none. object begins with its brace. */
broker_str member_find(broker_str object, broker_str name);

/* What a JSON string means, as UTF-8, appended to out; half a surrogate pair becomes U+FFFD.
 * string begins and ends with its quotes. */
void member_text(broker_str string, sb *out);

#endif
