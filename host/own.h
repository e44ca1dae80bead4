/* own -- what the host itself serves: /metrics, /healthz, /readyz. [loop] */
#ifndef HOST_OWN_H
#define HOST_OWN_H

#include "plugin/loader.h"
#include "run/metrics.h"

typedef struct own {
    ledger ledger;
    loader *loader;
    metric *process[2]; /* memory, CPU */
    bool stopping;      /* /readyz says so */
} own;

/* o is zero, and stays where it is as long as the server runs. */
void own_begin(own *o, http_server *http, loader *l);

#endif
