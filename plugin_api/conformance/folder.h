/* folder -- a temporary folder for a check, which the parent takes away: a child may crash. */
#ifndef CONFORMANCE_FOLDER_H
#define CONFORMANCE_FOLDER_H

#define FOLDER_VARIABLE "LOGSTORE_CHECK_FOLDER" /* of the environment */

/* The parent: make one, mode 0700, for the child that is started next. */
void folder_make(void);
/* The parent: take it away with all that is in it. */
void folder_remove(void);
/* The child's. */
const char *folder_of_child(void);

#endif
