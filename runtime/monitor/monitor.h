/* Entry of the verb `monitor`. Returns the exit status. */
#pragma once

int monitor_main(int argc, char **argv);
