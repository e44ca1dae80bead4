/* env -- overrides of the configuration by LOGSTORE__BROKER__... (spec: the reference
 * node's rules). */
#ifndef CONF_ENV_H
#define CONF_ENV_H

#include "json/json.h"

/* Put the values into root. touched gets "pointer\tNAME\n" for each. False: a sentence in
 * *why. */
bool env_apply(char *const *envp, json_t *root, sb *touched, sb *why);

#endif
