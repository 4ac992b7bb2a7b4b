/* Entry of the verb `monitor`. Returns the exit status. `own_runtime`: this program's OCI verbs, run in children. */
#pragma once

int monitor_main(int argc, char **argv, int (*own_runtime)(int argc, char **argv));
