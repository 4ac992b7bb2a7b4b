/* Entry of the verb `net`. Returns the exit status. */
#pragma once

int net_main(int argc, char **argv);
