/* Command line of the OCI verbs: options only, the work is in container/. */
#pragma once

/* Options before the verb, then the verb. Returns the exit status. */
int oci_main(int argc, char **argv);
