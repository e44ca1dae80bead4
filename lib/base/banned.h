/* banned -- calls that do not compile here. Force-included everywhere.
 *
 * Each has a bounded or reentrant twin: snprintf, memcpy with a checked length,
 * gmtime_r, strtol through base/parse. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#ifndef __cplusplus
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef sprintf
#undef strtok
#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok atoi atol atof gmtime localtime   \
    gets
#endif

#endif
