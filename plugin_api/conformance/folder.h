/* folder -- a temporary folder of this process. */
#ifndef CONFORMANCE_FOLDER_H
#define CONFORMANCE_FOLDER_H

/* Made on first use, mode 0700. */
const char *folder_of_child(void);
/* Take it away with all that is in it. */
void folder_remove(void);

#endif
